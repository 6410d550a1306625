"""How a client's update is bounded and compressed before it travels, without a guarantee.

What privacy demands is the mechanism's business; this bounds what one client can change, and saves
bytes.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.low_rank import LowRank
from ufgraphfr.core.arrays.protocol import Array, ArraySpec, Matrix, Plain, sized
from ufgraphfr.core.arrays.quantised import BLOCK, Quantised
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Report
from ufgraphfr.core.spec import Spec

Matrices: TypeAlias = dict[str, tuple[Matrix, ...]]
"""Where arrays of an update hold matrices, by their names."""
_BITS = {"int8": 8, "int4": 4}
_FEW = 64
"""Arrays up to this many numbers (counts, biases of a head) travel as they are."""


class UploadSpec(Spec):
    """The ``[federation.upload]`` table."""

    codec: Literal["float32", "bfloat16", "int8", "int4"] = "float32"
    """How numbers travel: a client's, or where a data holder sends the sum over its clients, the
    sum's. ``bfloat16`` has the range of float32, which sums need; the two coarse ones have a scale
    for each 128 numbers and are rounded at random, so that their mean is kept."""
    clip: float | None = Field(None, gt=0)
    """L2 length that each array of a client's update is cut to; None for none."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of an update that travels: blocks of 128 numbers, drawn for each round from the seed
    and the same for every client, so that what is left out tells nothing. The rest of the model
    stays as it is in that round."""

    rank: int | None = Field(None, ge=1)
    """Each matrix of an update travels as the product of two with so many columns, the best such
    approximation, which the codec then rounds; None for whole matrices."""

    @model_validator(mode="after")
    def _consistent(self) -> "UploadSpec":
        if self.share < 1 and self.rank is not None:
            raise ValueError(
                f"share = {self.share} would leave out parts of products: with rank = {self.rank} "
                f"lower the rank instead"
            )
        if self.share < 1 and self.codec not in _BITS:
            raise ValueError(f"share = {self.share} goes with codec = {' or '.join(_BITS)}")
        return self

    @property
    def bounds(self) -> "UploadSpec | None":
        """What is left for a client to do whose update is added to others' where it is."""
        return None if self.clip is None else UploadSpec(clip=self.clip)

    def of_sum(
        self, report: Report, holder: int, key: Key, matrices: Matrices | None = None
    ) -> Report:
        """What travels of a sum over the clients of one data holder.

        Args:
            report: the sum.
            holder: a number of its own, for the rounding.
            key: seed and round of the rounding.
            matrices: of each array that holds some.
        """
        alone = torch.tensor([holder])
        arrays = dict[str, Array]()
        for part, (name, value) in enumerate(sorted(report.arrays.items())):
            arrays[name] = value
            if value.spec.floating and sized(value.spec) > _FEW:
                flat = (matrices or {}).get(name)
                arrays[name] = self._coded(value.dense(), alone, key, part, flat)
        return replace(report, arrays=arrays)

    def prepared(
        self,
        arrays: Mapping[str, Plain],
        clients: Tensor,
        key: Key,
        matrices: Matrices | None = None,
    ) -> dict[str, Array]:
        """What travels of each client's update.

        Args:
            arrays: each ``[clients, ...]``; small ones travel as they are.
            clients: int64 ``[clients]``.
            key: seed and round of the rounding.
            matrices: of each array that holds some.

        Raises:
            InputError: an array is given as the changed rows of a table, or there are no matrices
                to be of a ``rank``.
        """
        ready = dict[str, Array]()
        for part, (name, value) in enumerate(sorted(arrays.items())):
            if value.sparse:
                raise InputError(
                    f"[federation.upload]: '{name}' is uploaded as changed rows, which it does "
                    f"not bound or compress; leave the table out for this algorithm"
                )
            ready[name] = value
            if sized(value.spec) > _FEW:
                bounded = self._clipped(value.dense())
                ready[name] = self._coded(bounded, clients, key, part, (matrices or {}).get(name))
        return ready

    def redrawn(self, specs: dict[str, ArraySpec], key: Key) -> dict[str, ArraySpec]:
        """The forms of another round's uploads: which blocks travel is drawn anew in each."""
        drawn = dict[str, ArraySpec]()
        for part, (name, spec) in enumerate(sorted(specs.items())):
            drawn[name] = spec
            if spec.blocks is not None:
                stream = key.to(Purpose.BLOCKS, part)
                blocks = self._blocks(sized(spec), stream, spec.blocks.device)
                drawn[name] = replace(spec, blocks=blocks)
        return drawn

    def _clipped(self, value: Tensor) -> Tensor:
        if self.clip is None:
            return value
        # shorter floats round up, and their squares overflow
        wide = value.float() if value.element_size() < 4 else value
        length = wide.flatten(1).norm(dim=1)
        factor = (self.clip / length.clamp(min=self.clip)).to(wide.dtype)
        bounded: Tensor = wide * factor.view(-1, *[1] * (value.dim() - 1))
        return bounded

    def _coded(
        self,
        value: Tensor,
        clients: Tensor,
        key: Key,
        part: int,
        matrices: tuple[Matrix, ...] | None,
    ) -> Array:
        if self.rank is None:
            return self._rounded(value, clients, key, part)
        if matrices is None:
            raise InputError(
                f"[federation.upload] rank = {self.rank}: this algorithm uploads no matrices of a "
                f"shared model; leave it out"
            )
        thin = LowRank.of(value, matrices, self.rank)
        return replace(thin, numbers=self._rounded(thin.numbers.dense(), clients, key, part))

    def _rounded(self, value: Tensor, clients: Tensor, key: Key, part: int) -> Dense | Quantised:
        if self.codec == "float32":
            return Dense(value)
        if self.codec == "bfloat16":
            return Dense(value.bfloat16())
        count = value[0].numel()
        blocks = self._blocks(count, key.to(Purpose.BLOCKS, part), clients.device)
        count = count if blocks is None else len(blocks) * BLOCK
        draws = key.to(Purpose.ROUNDING, part).bytes(clients, count)
        return Quantised.of(value, _BITS[self.codec], draws, blocks)

    def _blocks(self, count: int, key: Key, device: torch.device) -> Tensor | None:
        """Which blocks of so many numbers travel in a round, int32, ascending; None for all."""
        blocks = -(-count // BLOCK)
        sent = math.ceil(self.share * blocks)
        if sent == blocks:
            return None
        nobody = torch.zeros(1, dtype=torch.int64, device=device)
        order = key.uniform(nobody, blocks)[0].argsort()
        return order[:sent].sort().values.int()
