"""What a defence must offer: it sees every client's reply, and says what the server adds up."""

from abc import ABC, abstractmethod

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import Aggregation, Report
from ufgraphfr.core.spec import Spec


class Defence(Spec, ABC):
    """A rule that bounds what a few clients can do to a round; fields are keys of its table."""

    @abstractmethod
    def combine(self, report: Report, algorithm: Algorithm, setting: Setting) -> Report:
        """What the server makes of a round's replies.

        Args:
            report: each client's own, ``[clients, ...]``.
            algorithm: knows what an array's rows are.
            setting: the federation.

        Returns:
            each client's own again, or sums as if of that many clients.
        """


def dense_for_sum(report: Report, algorithm: Algorithm, kind: str) -> dict[str, Tensor]:
    """The clients' arrays written out, for a rule that yields no more than a sum.

    Raises:
        InputError: the algorithm needs each client's own reply.
    """
    if algorithm.aggregation is Aggregation.PER_CLIENT:
        raise InputError(
            f"[federation.defence] kind = '{kind}' yields one sum, but {algorithm.kind} needs each "
            f"client's own reply: use row-cap or none"
        )
    return {name: value.dense().float() for name, value in report.arrays.items()}
