"""Signed feature hashing of words and word pairs: no weights, for tests and comparisons.

x[h(g)] += s(g) for every 1-gram and 2-gram g of the sentence, then x / ||x||; the sign s keeps
inner products unbiased. Weinberger, Dasgupta, Langford, Smola, Attenberg, "Feature hashing for
large scale multitask learning", ICML 2009.
"""

import hashlib
import itertools
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ufgraphfr.text.base import Encoder

_WORD = re.compile(r"\w+")


class Hashing(Encoder):
    """Sentences that share words get similar vectors; meaning plays no part."""

    width: int = Field(default=64, ge=2, description="length of a vector")

    def fingerprint(self) -> str:
        """The only setting is the width."""
        return f"1-2-grams, width {self.width}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed sentences, float32 ``[texts, width]`` of norm 1 (0 for a text without words)."""
        vectors = np.zeros((len(texts), self.width), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            words = _WORD.findall(text.casefold())
            for gram in itertools.chain(words, map(" ".join, itertools.pairwise(words))):
                bucket, sign = self._hash(gram)
                vector[bucket] += sign
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, norms, out=vectors, where=norms > 0)
        return vectors

    def _hash(self, gram: str) -> tuple[int, int]:
        # Python's own hash() changes from process to process
        digest = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest())
        return (digest >> 1) % self.width, 1 - 2 * (digest & 1)
