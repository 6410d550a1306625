"""Read an experiment, run it and print its result.

python examples/run_experiment.py [FILE.toml FOLDER]
"""

import json
import sys
from pathlib import Path

from ufgraphfr.experiment import execute, read

file, folder = sys.argv[1:] or ("experiments/quickstart.toml", "runs/quickstart")
for step in execute(read(Path(file)), Path(folder), resume=True):
    print(f"round {step.round}/{step.rounds}: {step.clients} clients, loss {step.loss:.4f}")
result = json.loads(Path(folder, "result.json").read_text())
print("test, all items ranked:", result["test"]["full"])
