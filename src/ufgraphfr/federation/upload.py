"""How a client's update is bounded and compressed before it travels, without a guarantee.

What privacy demands is the mechanism's business; this bounds what one client can change, and saves
bytes.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Uploaded
from ufgraphfr.core.quantised import Quantised
from ufgraphfr.core.rows import Rows
from ufgraphfr.core.spec import Spec

_BITS = {"int8": 8, "int4": 4}
_FEW = 64
"""Arrays up to this many numbers (counts, biases of a head) travel as they are."""


class UploadSpec(Spec):
    """The ``[federation.upload]`` table."""

    codec: Literal["float32", "float16", "int8", "int4"] = "float32"
    """How numbers travel; the two coarse ones have a scale for each 128 of them and are rounded
    at random, so that their mean is kept."""
    clip: float | None = Field(None, gt=0)
    """L2 length that each array of a client's update is cut to; None for none."""

    def prepared(
        self, arrays: dict[str, Tensor | Rows], clients: Tensor, key: Key
    ) -> dict[str, Uploaded]:
        """What travels of each client's update.

        Args:
            arrays: each ``[clients, ...]``; small ones travel as they are.
            clients: int64 ``[clients]``.
            key: seed and round of the rounding.

        Raises:
            InputError: an array is given as the changed rows of a table.
        """
        ready: dict[str, Uploaded] = {}
        for part, (name, value) in enumerate(sorted(arrays.items())):
            if isinstance(value, Rows):
                raise InputError(
                    f"[federation.upload]: '{name}' is uploaded as changed rows, which it does "
                    f"not bound or compress; leave the table out for this algorithm"
                )
            if value[0].numel() <= _FEW:
                ready[name] = value
            else:
                here = key.to(Purpose.ROUNDING, part)
                ready[name] = self._rounded(self._clipped(value), clients, here)
        return ready

    def _clipped(self, value: Tensor) -> Tensor:
        if self.clip is None:
            return value
        length = value.flatten(1).norm(dim=1)
        factor = (self.clip / length.clamp(min=self.clip)).to(value.dtype)
        bounded: Tensor = value * factor.view(-1, *[1] * (value.dim() - 1))
        return bounded

    def _rounded(self, value: Tensor, clients: Tensor, key: Key) -> Uploaded:
        if self.codec == "float32":
            return value
        if self.codec == "float16":
            return value.half()
        draws = key.bytes(clients, value[0].numel())
        return Quantised.of(value, _BITS[self.codec], draws)
