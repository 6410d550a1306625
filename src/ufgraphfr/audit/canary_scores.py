"""Canaries at play: what of each is in what was released, and in what the server makes of it."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.audit.planted import Planted, Unnoised, numbers
from ufgraphfr.audit.recording import Recording
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.loop import Round, rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.privacy.accounted.gaussian import NoisedClients, NoisedSums
from ufgraphfr.privacy.base import Mechanism

RELEASES = "all releases"
NEVER_EMPTY = 14.0
"""Expected clients of a round without canaries: e^-14 of such rounds are empty."""
AT_ONCE, AT_ONCE_DENSE = 256, 16
"""Canaries stacked at once, with a clip, whose arrays are small, and without."""
MOST = 0.5
"""Of a canary's length has to lie in an array, or it is not scored there: it would see nothing."""
Scores = dict[str, Tensor]
"""float64 ``[canaries]`` by name: how much of each is in an array; NaN where it has no part."""
Shapes = dict[int, Tensor]
"""By round: at each number of what is released, how much of its canary passes the clip, up to a
factor, float64 ``[size]``."""


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
        """The run's rounds, which ask everybody, unless the guarantee rests on secret coins.

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
        """Rounds of a part beyond those that the guarantee lets a client take part in."""
        releases = [part.participation for part in getattr(self.mechanism, "parts", ())]
        return frozenset(
            number
            for each in releases
            for number in range(each.release.first + each.rounds, each.release.last + 1)
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

    def shapes(self, canaries: int) -> Shapes:
        """What clip and row cap leave of each canary of a group: one play, all in, and no noise.

        Canaries share no number, so the sum holds each one's own. Devices that add noise have
        numbers of one kind, all of which pass alike.
        """
        if isinstance(self.mechanism, NoisedClients):
            return {}
        everyone = torch.arange(canaries)
        unnoised = Unnoised(copy.deepcopy(self.mechanism))
        return {
            done.number: torch.cat([_flat(value) for value in done.released.sums.values()])
            for done in self._rounds(canaries, everyone, unnoised, certain=True)
            if done.released is not None
        }

    def scores(self, inside: Tensor, shapes: Shapes | None = None) -> Scores:
        """Play one group.

        Args:
            inside: bool ``[canaries]``, who takes part.
            shapes: of a group of this size, or None to work them out.

        Returns:
            The scores in all that was released, under `RELEASES`, in each array of it, and in
            each array of the server's memory that is as large as one of them.
        """
        canaries = len(inside)
        mechanism = copy.deepcopy(self.mechanism)
        shapes = self.shapes(canaries) if shapes is None else shapes
        found = {RELEASES: torch.zeros(canaries, dtype=torch.float64)}
        begun = self.recording.checkpoint.server
        for done in self._rounds(canaries, inside.nonzero()[:, 0], mechanism):
            if done.released is None:
                continue
            weight = 0.0 if done.number in self.silent else _weight(mechanism, done.number)
            sums = {name: _flat(value) for name, value in done.released.sums.items()}
            whole = torch.cat(list(sums.values()))
            own = numbers(torch.arange(canaries), canaries, len(whole))
            shape = shapes.get(done.number, torch.ones_like(whole))[own]
            found[RELEASES] += weight * _score(whole, own, 0, shape)
            start = 0
            for name, value in sums.items():
                told = f"what is released as {name}"
                found[told] = found.get(told, 0.0) + weight * _score(value, own, start, shape)
                for kept, memory in _changed(done.state, begun, len(value)):
                    found[f"what the server keeps as {kept}"] = _score(memory, own, start, shape)
                start += len(value)
        return found

    def noise_alone(self, seed: int) -> Iterator[tuple[int, str, Tensor]]:
        """The run's rounds, in which everybody uploads zeros: noise, as it was paid for.

        Args:
            seed: of this play.

        Returns:
            For each array of each round the round, its name, and its numbers in units of the
            standard deviation that the ledger states, float64 ``[size]``.
        """
        mechanism = copy.deepcopy(self.mechanism)
        nobody = torch.zeros(0, dtype=torch.int64)
        for done in self._rounds(1, nobody, mechanism, seed=seed):
            if done.released is not None:
                std = _stated(mechanism, done)
                sums = done.released.sums
                yield from ((done.number, name, _flat(sums[name]) / std) for name in sums)

    def _rounds(
        self,
        canaries: int,
        inside: Tensor,
        mechanism: Mechanism | None = None,
        certain: bool = False,
        seed: int | None = None,
    ) -> Iterator[Round]:
        """The run's rounds, in which these canaries take part; ``certain``: in every one."""
        run, spec = self.recording, self.federation
        if certain:
            spec = spec.model_copy(update={"cohort": 1.0, "sampling": "fixed"})
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
        planted = Planted(
            real=algorithm, canaries=canaries, silent=frozenset() if certain else self.silent
        )
        simulation = Simulation(Client(planted, mechanism), batch, PrivateState(alike), spec.chunk)
        return rounds(
            Aggregator(algorithm, setting),
            mechanism,
            Local().to(simulation),
            spec,
            clients,
            start.server,
            Key(run.experiment.seed if seed is None else seed),
            first=start.round + 1,
            seen=True,
        )


def _changed(state: State, begun: State, size: int) -> Iterator[tuple[str, Tensor]]:
    """The arrays of a size that are not what they were, flat."""
    for name, value in state.items():
        if value.numel() == size and not (name in begun and torch.equal(value, begun[name])):
            yield name, _flat(value)


def _flat(value: Tensor) -> Tensor:
    return (value.to_dense() if value.is_sparse else value).flatten().double()


def _score(value: Tensor, own: Tensor, start: int, shape: Tensor) -> Tensor:
    """How much of each client is in a flat array whose first number is number ``start``.

    Matched to what can be there of it: other weights would add more noise than signal.

    Args:
        value: float64 ``[size]``.
        own: int64 ``[clients, numbers]``, which numbers are each client's.
        start: what comes before the array.
        shape: float64 ``[clients, numbers]``, what passes of them.
    """
    there = (own >= start) & (own < start + len(value))
    inside = torch.where(there, shape, 0.0)
    length = torch.linalg.vector_norm(inside, dim=1)
    little = length < MOST * torch.linalg.vector_norm(shape, dim=1)
    # 0 / 0 is NaN: no part in it
    inside[little], length[little] = 0.0, 0.0
    at = (own - start).clamp(0, len(value) - 1)
    found: Tensor = (value[at] * inside).sum(1) / length
    return found


def _weight(mechanism: Mechanism, round_number: int) -> float:
    """A round's weight as evidence: its signal over the square of its noise, by its ledger."""
    ledger = getattr(mechanism, "ledger", None)
    for spend in ledger.spends if ledger is not None else ():
        if spend["round"] == round_number:
            return float(1 / (spend["clip"] * spend["noise"] ** 2))
    return 1.0


def _stated(mechanism: Mechanism, done: Round) -> float:
    """The standard deviation of a round's noise, by its ledger."""
    assert isinstance(mechanism, NoisedSums)
    assert done.released is not None
    spend = next(each for each in mechanism.ledger.spends if each["round"] == done.number)
    # on devices each client that took part has added its own
    own = done.clients if isinstance(mechanism, NoisedClients) else mechanism.noise_copies
    exposure = mechanism.part(done.number).participation
    mean = len(done.released.clients) / exposure.expected if exposure.rate else 1.0
    return float(spend["clip"] * spend["noise"] * math.sqrt(own) * mean)
