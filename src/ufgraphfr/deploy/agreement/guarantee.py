"""A guarantee in a deployment: each data holder pays from its own ledger and adds all the noise.

The server sees noised sums over shards and is not trusted. Its own ledger repeats what the agents
have spent, for the statement of the run.
"""

import hashlib
from typing import ClassVar

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.privacy_plan import calibrate
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Arrays, Mechanism
from ufgraphfr.privacy.central_jdp import CentralJDP


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
    if spec.trust != "shard" or spec.shards != nodes:
        raise InputError(
            f"[privacy] trust = '{spec.trust}', shards = {spec.shards}: the server of a "
            f'deployment is not trusted, so set trust = "shard" and shards = {nodes}'
        )
    if spec.seeded_noise:
        raise InputError("[privacy] seeded_noise is for tests: leave it out")
    if experiment.federation.sampling == "poisson":
        raise InputError(
            '[federation] sampling = "poisson" hides who takes part, but here the server draws '
            'and would know: use "fixed" or "rotation"'
        )


def shard_mechanism(
    experiment: Experiment, algorithm: Algorithm, clients: int, ledger: Ledger
) -> Mechanism:
    """What one data holder runs: both halves of the mechanism, with all of the noise once.

    Raises:
        InputError: the budget cannot be kept, or the clip would adapt to other holders' users.
    """
    mechanism = calibrate(experiment, algorithm, clients, ledger)
    if not isinstance(mechanism, NoisedSums):
        return mechanism
    for part in mechanism.parts:
        if part.clip is None:
            raise InputError(
                f"[privacy] clip = 'adaptive' would need the lengths of everybody's updates for "
                f"'{part.name}': set a number"
            )
    return ShardMechanism(mechanism.of_one_holder())


class ShardMechanism(Mechanism):
    """What one data holder runs: clip, all of the noise, and payment when the reply is kept.

    A noised sum that is on the disk and not yet paid for stays there; what is paid for is there to
    be sent, also after a kill.
    """

    is_private: ClassVar[bool] = True

    def __init__(self, inner: NoisedSums) -> None:
        """Takes the mechanism of one holder, calibrated."""
        self._inner = inner

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`."""
        return self._inner.privatize(arrays, clients, key)

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`: noise, where it could be paid for.

        Raises:
            BudgetSpent: it could not.
        """
        self._inner.ledger.check(self._inner.part(key.round).name, key.round)
        return self._inner.noised(report, key)

    def pay(self, round_number: int, reply: bytes) -> None:
        """Pay for a reply, once; it may be sent after this has returned, as often as asked for.

        Raises:
            BudgetSpent: the ledger refuses, or another reply of this round was paid for.
        """
        digest = hashlib.sha256(reply).hexdigest()
        if all(spend.get("reply") != digest for spend in self._inner.ledger.spends):
            self._inner.pay(round_number, reply=digest)


class ServerMechanism(Mechanism):
    """What the server of a deployment runs: what arrives is private already."""

    is_private: ClassVar[bool] = True

    def __init__(self, inner: NoisedSums) -> None:
        """Takes the mechanism of the holders, calibrated; its guarantee is in the ledger."""
        self._inner = inner

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`; that half is the holders'."""
        raise TypeError("the server of a deployment has no clients of its own")

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`: write down what the holders have paid."""
        if self._inner.ledger.last_round < key.round:
            self._inner.pay(key.round)
        return report


def server_mechanism(
    experiment: Experiment, algorithm: Algorithm, clients: int, ledger: Ledger
) -> Mechanism:
    """What the server runs."""
    mechanism = calibrate(experiment, algorithm, clients, ledger)
    return ServerMechanism(mechanism) if isinstance(mechanism, NoisedSums) else mechanism
