"""Recommend from an exported model: numpy and onnxruntime, no torch and none of this package.

ufgraphfr export runs/quickstart --format onnx model.onnx
python examples/onnx_model.py model.onnx "Star Wars (1977)" "Toy Story (1995)"
"""

import base64
import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
facts = session.get_modelmeta().custom_metadata_map
titles = json.loads(facts["titles"])
history = np.array([titles.index(title) for title in sys.argv[2:]], np.int64)
# of whom nothing else is known; otherwise the vector of a sentence about them
profile = np.frombuffer(base64.b64decode(facts["nobody"]), np.float32)
(scores,) = session.run(["scores"], {"history": history, "profile": profile})
scores[history] = -np.inf
for place in np.argsort(-scores, kind="stable")[:10]:
    print(f"{scores[place]:.3f}  {titles[place]}")
print(facts["guarantee"])
