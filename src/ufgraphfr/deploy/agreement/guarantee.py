"""A guarantee in a deployment: each data holder pays from its own ledger and adds all the noise.

The server sees noised sums over shards and is not trusted.
"""

import hashlib
import math
from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report
from ufgraphfr.core.releases import Release
from ufgraphfr.evaluation.metrics import ranked
from ufgraphfr.evaluation.results import RANKINGS
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.privacy_plan import plan
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
from ufgraphfr.privacy.accounted.guarantee import events
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Arrays, Mechanism, Participation, ReleasePlan
from ufgraphfr.privacy.central_jdp import CentralJDP

METRICS, METRICS_SHARE = "metrics", 0.05
"""The part of a guarantee that the test's metrics are, and its share of the budget."""


def check_guarantee(experiment: Experiment, nodes: int, clients: int) -> None:
    """Check that a ``[privacy]`` table holds against an untrusted server.

    Raises:
        InputError: it does not.
    """
    spec = experiment.mechanism
    if spec.budget(clients) is None:
        return
    if not isinstance(spec, CentralJDP):
        raise InputError(f"[privacy] kind = '{spec.kind}' cannot be deployed: use 'central-jdp'")
    if spec.trust == "server" or spec.shards != nodes:
        raise InputError(
            f"[privacy] trust = '{spec.trust}', shards = {spec.shards}: the server of a "
            f'deployment is not trusted, so set trust = "shard" (or, from 3 nodes, "secure-sum") '
            f"and shards = {nodes}"
        )
    if spec.seeded_noise:
        raise InputError("[privacy] seeded_noise is for tests: leave it out")
    if spec.total_epsilon is not None:
        raise InputError(
            "[privacy] total_epsilon adds up the runs of one machine, and no node knows those of "
            "another agreement: leave it out"
        )


def agreed_rounds(experiment: Experiment, participation: Participation) -> int:
    """Rounds of one part that each agent lets a user take part in, from what was signed alone.

    How many users there are is nobody's promise: the agreement knows how many ids a node may give
    out, the server who is there. So ``rotation`` counts on turns only where the cohort is a share;
    for a number of clients it is ``participation_cap``, and every round without it.
    """
    release, federation = participation.release, experiment.federation
    if federation.sampling != "rotation" or participation.rounds == release.rounds:
        return release.rounds
    if federation.cohort_is_share:
        # as many clients as a share needs to be one
        turns = math.ceil(1 / federation.cohort)
        return federation.participations(release.first, release.last, turns)
    spec = experiment.mechanism
    assert isinstance(spec, CentralJDP)
    return min(release.rounds, spec.participation_cap or release.rounds)


def metrics_norm(experiment: Experiment) -> float:
    """L2 length of one user's metrics: each at most 1, and for each ranking 1 for being asked."""
    return math.sqrt(len(RANKINGS) * (len(ranked(experiment.evaluation.sent)) + 1))


def _with_metrics(experiment: Experiment, planned: ReleasePlan) -> ReleasePlan:
    """The plan and, after the last round, one release of the test's metrics."""
    number, norm = experiment.federation.rounds + 1, metrics_norm(experiment)
    spec = experiment.mechanism
    shares = spec.shares if isinstance(spec, CentralJDP) else {}
    others = sum(shares.get(e.release.part, e.release.share) for e in planned.participations)
    share = shares.get(METRICS, METRICS_SHARE / (1 - METRICS_SHARE) * others)
    release = Release(METRICS, number, number, norm, share)
    why = f"{METRICS}: one noised sum of the test's metrics, of at most {norm:.3g} for each user"
    # a node that is lost in it is missing: it is not repeated
    participation = Participation(release, 1, None, planned.clients, repeats=0)
    return replace(
        planned, participations=(*planned.participations, participation), why=(*planned.why, why)
    )


def calibrate_agreed(
    experiment: Experiment, algorithm: Algorithm, clients: int, ledger: Ledger, metrics: bool
) -> Mechanism:
    """The mechanism of what agents enforce; ``clients`` are the ids they may give out."""
    planned = plan(experiment, algorithm, clients)
    if metrics:
        planned = _with_metrics(experiment, planned)
    if experiment.mechanism.budget(clients) is not None:
        participations = tuple(
            replace(own, rounds=agreed_rounds(experiment, own)) for own in planned.participations
        )
        planned = replace(planned, participations=participations)
    return experiment.mechanism.calibrate(planned, ledger)


def shard_mechanism(
    experiment: Experiment,
    algorithm: Algorithm,
    clients: int,
    ledger: Ledger,
    metrics: bool = False,
) -> Mechanism:
    """What one data holder runs: both halves of the mechanism, with all of the noise once.

    With ``metrics`` the test's are one release more.

    Raises:
        InputError: the budget cannot be kept, or the clip would adapt to other holders' users.
    """
    mechanism = calibrate_agreed(experiment, algorithm, clients, ledger, metrics)
    if not isinstance(mechanism, NoisedSums):
        return mechanism
    for part in mechanism.parts:
        if part.clip is None:
            raise InputError(
                f"[privacy] clip = 'adaptive' would need the lengths of everybody's updates for "
                f"'{part.name}': set a number"
            )
    return ShardMechanism(mechanism.of_one_shard())


class ShardMechanism(Mechanism):
    """What one data holder runs: clip, all of the noise, and payment when the reply is kept.

    A noised sum that is on the disk and not yet paid for stays there; what is paid for is there to
    be sent, also after a kill.
    """

    is_private: ClassVar[bool] = True

    def __init__(self, sums: NoisedSums) -> None:
        """Takes the mechanism of one data holder, calibrated."""
        self.sums = sums

    def check(self, round_number: int, attempt: int = 1) -> None:
        """See `NoisedSums.check`."""
        self.sums.check(round_number, attempt)

    def participations(self, round_number: int) -> tuple[str, int]:
        """The part of a round, and how many of its rounds a user may be in.

        Raises:
            BudgetSpent: the round is in no part.
        """
        part = self.sums.part(round_number)
        return part.name, part.participation.rounds

    def noise(self, round_number: int) -> tuple[float, float]:
        """z of the part of a round, and the claim's delta.

        Raises:
            BudgetSpent: the round is in no part.
        """
        guarantee = self.sums.ledger.guarantee
        assert guarantee is not None
        return self.sums.part(round_number).noise, float(guarantee["delta"])

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`."""
        return self.sums.privatize(arrays, clients, key)

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`: noise, where it could be paid for.

        Raises:
            BudgetSpent: it could not.
        """
        self.check(key.round)
        return self.sums.noised(report, key)

    def of_rows(self, key: Key, rows: Tensor, clients: Tensor) -> Report:
        """What leaves of numbers ``[clients, numbers]``, the sum of each client's clipped ones.

        Raises:
            BudgetSpent: it could not be paid for.
        """
        arrays = self.privatize({METRICS: Dense(rows)}, clients, key)
        nothing = rows.new_zeros(len(clients))
        report = Report(key.round, clients, arrays, Aggregation.PER_CLIENT, nothing)
        return self.finalize(report.total(), key)

    @property
    def mu_squared(self) -> float:
        """What one person's releases in a run come to at most, see `lifetime`."""
        guarantee = self.sums.ledger.guarantee
        assert guarantee is not None
        return sum(part.participations / z**2 for part, z in events(guarantee))

    def pay(self, round_number: int, reply: bytes, attempt: int = 1) -> None:
        """Pay for a reply, once; it may be sent after this has returned, as often as asked for.

        Raises:
            BudgetSpent: the ledger refuses, or another reply of this round was paid for.
        """
        digest = hashlib.sha256(reply).hexdigest()
        if all(spend.get("reply") != digest for spend in self.sums.ledger.spends):
            self.sums.pay(round_number, attempt, reply=digest)
