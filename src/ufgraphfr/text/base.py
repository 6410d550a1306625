"""What a sentence encoder must offer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.spec import Spec

Encode: TypeAlias = Callable[[Sequence[str]], NDArray[np.float32]]
"""From sentences to their vectors, see `Encoder.encode`."""


class Encoder(Spec, ABC):
    """A frozen map from sentences to vectors.

    An encoder with one possible width declares it as ``width: Literal[512] = 512``.
    """

    width: int
    """E, the length of a vector."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Changes whenever the same sentence may get another vector (weights, settings)."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed at least one sentence, float32 ``[texts, width]``.

        A sentence's vector does not depend on the other sentences, up to rounding.

        Raises:
            MissingExtra: the encoder's package is not installed.
        """

    def loaded(self) -> Encode:
        """`encode` with what it needs in memory, for who encodes again and again."""
        return self.encode
