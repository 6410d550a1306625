"""Canaries at play: what of each is in what was released, and in what the server makes of it."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.audit.planted import Planted, numbers
from ufgraphfr.audit.recording import Recording
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.loop import Round, rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transport import Local
from ufgraphfr.privacy.base import Mechanism

RELEASES = "all releases"
NEVER_EMPTY = 14.0
"""Expected clients of a round without canaries: e^-14 of such rounds are empty."""
AT_ONCE, AT_ONCE_DENSE = 256, 16
"""Canaries stacked at once, with a clip, whose arrays are small, and without."""
Scores = dict[str, Tensor]
"""float64 ``[canaries]`` by name: how much of each is in an array; NaN where it has no part."""


@dataclass(frozen=True)
class Play:
    """A run that is played again with canaries for clients.

    Attributes:
        recording: the run, and the weights from which it is played.
        mechanism: of the run, before its first release; it is copied for each group.
    """

    recording: Recording
    mechanism: Mechanism

    @property
    def federation(self) -> FederationSpec:
        """The run's rounds, which ask everybody, unless the claim rests on secret coins.

        Without a guarantee one round shows all there is to see.
        """
        spec, start = self.recording.experiment.federation, self.recording.checkpoint.round
        clients = len(self.recording.prepared.split.warm)
        coins, private = spec.sampling == "poisson", self.mechanism.is_private
        return FederationSpec(
            rounds=spec.rounds if private else start + 1,
            cohort=min(1.0, spec.expected(clients) / clients) if coins else 1.0,
            sampling="poisson" if coins else "fixed",
            chunk=AT_ONCE if private else AT_ONCE_DENSE,
        )

    @property
    def silent(self) -> frozenset[int]:
        """Rounds of a part beyond those that the claim lets a client take part in."""
        exposures = [part.exposure for part in getattr(self.mechanism, "parts", ())]
        return frozenset(
            number
            for each in exposures
            for number in range(each.release.first + each.participations, each.release.last + 1)
        )

    def group(self, canaries: int) -> int:
        """How many canaries have numbers of their own in every release, ``canaries`` at most.

        Where rows are capped, each has as many as it needs to be as long as the clip.
        """
        sizes = [
            sum(value.numel() for value in done.released.sums.values())
            for done in self._rounds(1, torch.zeros(0, dtype=torch.int64))
            if done.released is not None
        ]
        each = 1
        for part in getattr(self.mechanism, "parts", ()):
            if part.row_cap is not None and part.clip is not None:
                each = max(each, math.ceil((part.clip / part.row_cap) ** 2))
        return max(1, min([canaries, *(size // each for size in sizes)]))

    def scores(self, inside: Tensor) -> Scores:
        """Play one group.

        Args:
            inside: bool ``[canaries]``, who takes part.

        Returns:
            The scores in all that was released, under `RELEASES`, in each array of it, and in
            each array of the server's memory that is as large as one of them.
        """
        canaries = len(inside)
        mechanism = copy.deepcopy(self.mechanism)
        found = {RELEASES: torch.zeros(canaries, dtype=torch.float64)}
        begun = self.recording.checkpoint.server
        for done in self._rounds(canaries, inside.nonzero()[:, 0], mechanism):
            if done.released is None:
                continue
            weight = 0.0 if done.number in self.silent else _weight(mechanism, done.number)
            sums = {name: _flat(value) for name, value in done.released.sums.items()}
            own = numbers(torch.arange(canaries), canaries, sum(map(len, sums.values())))
            found[RELEASES] += weight * _score(torch.cat(list(sums.values())), own, 0)
            start = 0
            for name, value in sums.items():
                told = f"what is released as {name}"
                found[told] = found.get(told, 0.0) + weight * _score(value, own, start)
                for kept, memory in _changed(done.state, begun, len(value)):
                    found[f"what the server keeps as {kept}"] = _score(memory, own, start)
                start += len(value)
        return found

    def _rounds(
        self, canaries: int, inside: Tensor, mechanism: Mechanism | None = None
    ) -> Iterator[Round]:
        """The run's rounds, in which these canaries take part."""
        run, spec = self.recording, self.federation
        algorithm, setting, start = run.algorithm, run.prepared.setting, run.checkpoint
        mechanism = mechanism or copy.deepcopy(self.mechanism)
        others = 1 if spec.cohort >= 1 else math.ceil(NEVER_EMPTY / spec.cohort)
        clients = torch.cat((inside, canaries + torch.arange(others)))
        # arrays are those of a real client's update
        warm = torch.from_numpy(run.prepared.split.warm)
        # the shortest history, which is there once for each canary
        real = warm[run.prepared.batch.counts[warm].argmin()][None]
        batch = run.prepared.batch.select(real.expand(canaries + others))
        private = algorithm.init_private(setting, run.prepared.batch.select(real))
        alike = {n: v.expand(len(batch), *v.shape[1:]) for n, v in private.items()}
        planted = Planted(real=algorithm, canaries=canaries, silent=self.silent)
        simulation = Simulation(Client(planted, mechanism), batch, PrivateState(alike), spec.chunk)
        return rounds(
            Aggregator(algorithm, setting),
            mechanism,
            Local(simulation),
            spec,
            clients,
            start.server,
            Key(run.experiment.seed),
            first=start.round + 1,
        )


def _changed(state: State, begun: State, size: int) -> Iterator[tuple[str, Tensor]]:
    """The arrays of a size that are not what they were, flat."""
    for name, value in state.items():
        if value.numel() == size and not (name in begun and torch.equal(value, begun[name])):
            yield name, _flat(value)


def _flat(value: Tensor) -> Tensor:
    return (value.to_dense() if value.is_sparse else value).flatten().double()


def _score(value: Tensor, own: Tensor, start: int) -> Tensor:
    """How much of each client is in a flat array whose first number is number ``start``.

    Args:
        value: float64 ``[size]``.
        own: int64 ``[clients, numbers]``, which numbers are each client's.
        start: what comes before the array.
    """
    there = (own >= start) & (own < start + len(value))
    picked = torch.where(there, value[(own - start).clamp(0, len(value) - 1)], 0.0)
    # 0 / 0 is NaN: no part in it
    return picked.sum(1) / there.sum(1).double().sqrt()


def _weight(mechanism: Mechanism, round_number: int) -> float:
    """A round's weight as evidence: its signal over the square of its noise, by its ledger."""
    ledger = getattr(mechanism, "ledger", None)
    for spend in ledger.spends if ledger is not None else ():
        if spend["round"] == round_number:
            return float(1 / (spend["clip"] * spend["noise"] ** 2))
    return 1.0
