"""A guarantee at the server of a deployment: what arrives is private already.

Its own ledger repeats what the agents have spent, for the statement of the run.
"""

from typing import ClassVar

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report
from ufgraphfr.deploy.agreement.guarantee import calibrate_agreed
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.privacy_plan import plan
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Arrays, Mechanism


def check_turns(experiment: Experiment, algorithm: Algorithm, clients: int, ledger: Ledger) -> None:
    """Check that an honest server asks nobody more often than agents let them take part.

    Args:
        experiment: what is run.
        algorithm: its model, as the budget affords it.
        clients: how many there really are.
        ledger: the guarantee.

    Raises:
        InputError: it would, so the run could not be finished.
    """
    for participation in plan(experiment, algorithm, clients).participations:
        part = participation.release.part
        most = ledger.guarantee["parts"][part]["participations"] if ledger.guarantee else 0
        if participation.rounds > most:
            raise InputError(
                f"[federation] {clients:,} clients are here, so a rotation asks each "
                f"{participation.rounds} times for '{part}', and agents answer {most}: let more "
                f"users in, or agree anew on fewer rounds, a smaller cohort or a larger "
                f"[privacy] participation_cap"
            )


class ServerMechanism(Mechanism):
    """What the server of a deployment runs: what arrives is private already."""

    is_private: ClassVar[bool] = True

    def __init__(self, sums: NoisedSums) -> None:
        """Takes the data holders' mechanism, calibrated; its guarantee is in the ledger."""
        self.sums = sums

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`; that half is the holders'."""
        raise TypeError("the server of a deployment has no clients of its own")

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`: write down what the holders have paid."""
        # another attempt was written down before, see `ufgraphfr.deploy.server.masked_sums`
        if self.sums.ledger.last_round < key.round:
            self.record(key.round)
        return report

    def record(self, round_number: int, attempt: int = 1) -> None:
        """Write down what the holders have paid for a round or an attempt at it, once."""
        if self.sums.ledger.last < (round_number, attempt):
            self.sums.pay(round_number, attempt)

    def affords(self, round_number: int) -> bool:
        """Whether a reserve is left, from which the round may be repeated."""
        part, ledger = self.sums.part(round_number), self.sums.ledger
        used = [s for s in ledger.spends if s["part"] == part.name and "attempt" in s]
        return len(used) < (part.participation.repeats or 0)


def server_mechanism(
    experiment: Experiment,
    algorithm: Algorithm,
    clients: int,
    here: int,
    ledger: Ledger,
    metrics: bool = False,
) -> Mechanism:
    """What the server runs.

    Args:
        experiment: what is run.
        algorithm: its model, as the budget affords it.
        clients: ids that nodes may give out.
        here: clients that take part.
        ledger: where the guarantee is written.
        metrics: whether the test's are one release more.

    Raises:
        InputError: the run would ask a client more often than agents answer.
    """
    mechanism = calibrate_agreed(experiment, algorithm, clients, ledger, metrics)
    if not isinstance(mechanism, NoisedSums):
        return mechanism
    check_turns(experiment, algorithm, here, ledger)
    return ServerMechanism(mechanism)
