"""Clipped, summed, noised: the mechanism behind every guarantee here.

``S = sum_u clip(x_u, C) + N(0, (z C)^2)`` in whole multiples of a public grid's step. The ledger is
charged before anybody sees the sum; noise never depends on how many answered.
With the noise of ``shards`` data holders, each of whom adds all of it, the server sees noised sums
only. Where it sees nothing but their total, each adds a share (`secure_sum`).

Adaptive clipping (Andrew, Thakkar, McMahan, Ramaswamy, "Differentially private learning with
adaptive clipping", NeurIPS 2021): one more number says how many updates were within the clip, which
moves towards their median. It is part of the same Gaussian release, whose noise pays for it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.protocol import sized
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, Report, one_row
from ufgraphfr.privacy.accounted.clipping import clip, lengths
from ufgraphfr.privacy.accounted.layout import FINE, Layout
from ufgraphfr.privacy.accounted.ledger import BudgetSpent, Ledger
from ufgraphfr.privacy.accounted.noise import Noise, grid_step
from ufgraphfr.privacy.base import Arrays, Mechanism, Participation

WITHIN = "within the clip"
"""The array that counts updates shorter than the clip, a half up or down for each client."""
QUANTILE, RATE = 0.5, 0.2
FIRST_CLIP = 0.1


@dataclass(frozen=True)
class GaussianRelease:
    """One part of the model and the noise it pays with.

    Attributes:
        participation: what is released, and how often one client is in it.
        noise: z, the standard deviation of the noise on the sum, in units of the clip.
        clip: C; None adapts it.
        row_cap: bound on the length of each item row, or None.
        layout: the grid's, and of sums on the wire.
    """

    participation: Participation
    noise: float
    clip: float | None
    row_cap: float | None = None
    layout: Layout = FINE

    @property
    def name(self) -> str:
        """What the ledger calls it."""
        return self.participation.release.part

    @property
    def count_noise(self) -> float:
        """Standard deviation of the noise on the count within the clip, as published."""
        return self.participation.expected / 20

    @property
    def value_noise(self) -> float:
        """z of the update itself, if the count within the clip is paid from the same release.

        Without its data a user sends an empty update, which is within every clip: from half down
        to half up is 1.
        """
        if self.clip is not None:
            return self.noise
        return 1 / math.sqrt(self.noise**-2 - self.count_noise**-2)


class NoisedSums(Mechanism):
    """Sums with noise, one part of the model at a time."""

    is_private: ClassVar[bool] = True

    def __init__(
        self, parts: tuple[GaussianRelease, ...], ledger: Ledger, noise_copies: float, draw: Noise
    ) -> None:
        """A calibrated mechanism.

        Args:
            parts: what may be released.
            ledger: what it is charged to; its guarantee has been written.
            noise_copies: how often the noise that is paid for is in the sum: once with a trusted
                server, and once for each data holder that adds all of it.
            draw: where noise comes from.
        """
        self.parts, self.ledger, self.noise_copies, self._draw = parts, ledger, noise_copies, draw
        self._clips = {spend["part"]: spend["clip"] for spend in ledger.spends}

    def of_one_shard(self, share: float = 1) -> "NoisedSums":
        """The same as one of several data holders runs it.

        Args:
            share: of the variance that is paid for, which this holder adds.
        """
        return NoisedSums(self.parts, self.ledger, share, self._draw)

    def pay(self, round_number: int, attempt: int = 1, **facts: str | float) -> None:
        """Charge the ledger with the release of a round, or of another attempt at it.

        Raises:
            BudgetSpent: the ledger refuses.
        """
        part = self.part(round_number)
        told = {"clip": self.clip_of(part), "noise": part.noise, **facts}
        self.ledger.spend(part.name, round_number, attempt, **told)

    def check(self, round_number: int, attempt: int = 1) -> None:
        """Whether a round, or another attempt at it, could be paid for now.

        Raises:
            BudgetSpent: it could not.
        """
        self.ledger.check(self.part(round_number).name, round_number, attempt)

    def may_release(self, round_number: int) -> bool:
        """Whether a round may still be formed and noised."""
        return self.ledger.last_round < round_number

    def resume(self, round_number: int, clip: float) -> None:
        """Go on after a round, with the clip that it led to."""
        self._clips[self.part(round_number).name] = clip

    def of_expected(self, report: Report, round_number: int) -> Report:
        """A report that says nothing of a secret cohort's size: it is of the expected one."""
        participation = self.part(round_number).participation
        if participation.rate is None:
            return report
        size = max(1, round(participation.expected))
        clients, loss = (
            report.clients.new_full((size,), -1),
            report.loss.new_full((size,), math.nan),
        )
        return replace(report, clients=clients, loss=loss)

    def part(self, round_number: int) -> GaussianRelease:
        """The part that a round belongs to.

        Raises:
            BudgetSpent: no part does.
        """
        for part in self.parts:
            release = part.participation.release
            if release.first <= round_number <= release.last:
                return part
        raise BudgetSpent(f"round {round_number} is not in the plan, so nothing may leave in it")

    def clip_of(self, part: GaussianRelease) -> float:
        """C at this moment."""
        return self._clips.get(part.name, FIRST_CLIP) if part.clip is None else part.clip

    def upload_norm_bound(self, round_number: int) -> float | None:
        """See `Mechanism.upload_norm_bound`: the clip, in steps of the grid."""
        part = self.part(round_number)
        return self.clip_of(part) / self.step(part)

    def width(self, round_number: int) -> int:
        """Bytes of a number of a masked sum."""
        return self.part(round_number).layout.width

    def step(self, part: GaussianRelease) -> float:
        """Of the grid, at this moment."""
        return grid_step(self.clip_of(part), part.layout.bits)

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`: each client's whole upload, clipped, on the grid."""
        part = self.part(key.round)
        bound = self.clip_of(part)
        if not arrays:
            return {}
        clipped = clip(arrays, bound, self.step(part), part.row_cap)
        if part.clip is None:
            within = (lengths(arrays) <= bound).long() * 2 - 1
            clipped[WITHIN] = Dense(within[:, None])
        return clipped

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`: pay, then noise.

        Raises:
            BudgetSpent: the ledger refuses.
        """
        self.pay(key.round)
        return self.noised(report, key)

    def noised(self, report: Report, key: Key) -> Report:
        """Sums with noise, which nobody may see before they are paid for."""
        sums = whole_sums(report)
        within = sums.pop(WITHIN, None)
        noised = self.in_values(self.of_expected(report, key.round), self.with_noise(sums, key))
        if within is not None:
            part = self.part(key.round)
            self._adapt(part, self.clip_of(part), within, key)
        return noised

    def with_noise(self, sums: Mapping[str, Tensor], key: Key) -> dict[str, Tensor]:
        """Sums in whole steps of the grid, int64, with noise."""
        part = self.part(key.round)
        std = part.value_noise * self.clip_of(part) / self.step(part) * math.sqrt(self.noise_copies)
        return {
            name: value + self._noise(value, std, key, place)
            for place, (name, value) in enumerate(sums.items())
        }

    def in_values(self, report: Report, sums: Mapping[str, Tensor]) -> Report:
        """The report of sums that are given in steps of the grid."""
        part = self.part(report.round)
        # the size itself must not be a factor: the last digit of a product would show it
        fixed = (
            len(report.clients) / part.participation.expected if part.participation.rate else 1.0
        )
        step = self.step(part) * fixed
        return replace(report, arrays=one_row({n: (v * step).float() for n, v in sums.items()}))

    def _noise(self, like: Tensor, std: float, key: Key, place: int) -> Tensor:
        drawn = self._draw(like.numel(), std, key.to(Purpose.NOISE, place))
        return drawn.view(like.shape).to(like.device)

    def _adapt(self, part: GaussianRelease, bound: float, within: Tensor, key: Key) -> None:
        # the sum is of whole numbers, twice the halves that the count is made of
        std = 2 * part.count_noise * math.sqrt(self.noise_copies)
        noised = int(within.sum()) + int(self._draw(1, std, key.to(Purpose.CLIP_COUNT))[0])
        share = noised / 2 / part.participation.expected + 0.5
        self._clips[part.name] = bound * math.exp(RATE * (QUANTILE - min(1.0, max(0.0, share))) * 2)


class NoisedClients(NoisedSums):
    """The same noise on each client's own numbers, before anything leaves the device."""

    def __init__(
        self,
        parts: tuple[GaussianRelease, ...],
        ledger: Ledger,
        noise_copies: int,
        draw: Noise,
        most: int,
    ) -> None:
        """See `NoisedSums`; a client may release ``most`` numbers."""
        super().__init__(parts, ledger, noise_copies, draw)
        self.most = most

    def upload_norm_bound(self, round_number: int) -> float | None:
        """See `Mechanism.upload_norm_bound`: noise has no bound."""
        return None

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`: pay, clip, then noise on the device."""
        numbers = sum(sized(value.spec) for value in arrays.values())
        if numbers > self.most:
            raise InputError(
                f"a client would release {numbers:,} numbers under local differential privacy, "
                f"more than {self.most}: their noise would leave nothing"
            )
        part = self.part(key.round)
        bound = self.clip_of(part)
        if self.ledger.last_round < key.round:
            self.ledger.spend(part.name, key.round, clip=bound, noise=part.noise)
        step = grid_step(bound)
        clipped = clip(arrays, bound, step, part.row_cap)
        std = part.noise * bound / step
        dense = {name: value.dense() for name, value in clipped.items()}
        return {
            name: Dense(value + self._noise(value, std, key, place))
            for place, (name, value) in enumerate(dense.items())
        }

    def check(self, round_number: int, attempt: int = 1) -> None:
        """See `NoisedSums.check`: devices have paid."""

    def may_release(self, round_number: int) -> bool:
        """See `NoisedSums.may_release`: the devices' noise of a round that never arrived."""
        return self.ledger.last_round <= round_number

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`: what arrives is paid for."""
        return self.noised(report, key)

    def noised(self, report: Report, key: Key) -> Report:
        """See `NoisedSums.noised`: what arrives is private already."""
        step = grid_step(self.clip_of(self.part(key.round)))
        sums = {name: (value * step).float() for name, value in whole_sums(report).items()}
        return replace(report, arrays=one_row(sums))


def whole_sums(report: Report) -> dict[str, Tensor]:
    """The sums of clipped updates, in steps of the grid."""
    sums = report.sums
    for name, value in sums.items():
        if report.aggregation is not Aggregation.SUM or value.is_floating_point():
            raise TypeError(f"'{name}' is not a sum of clipped whole numbers")
    return sums
