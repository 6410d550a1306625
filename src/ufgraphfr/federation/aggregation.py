"""What a round's replies must be, decided once, and how they become one."""

from dataclasses import dataclass, replace

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import asks_all_clients
from ufgraphfr.core.messages import Aggregation, Report, combine
from ufgraphfr.federation.defences.base import Defence


@dataclass(frozen=True)
class Aggregator:
    """Adds up replies, or keeps each client's own where something needs to see it.

    Attributes:
        algorithm: says what its `aggregate` needs, and makes the next broadcast of it.
        setting: the federation.
        per_client: whether replies come one by one anyway: a codec makes each client's update
            travel by itself, or an adversary or a defence deals with single replies.
        defence: what bounds a few clients' say, where each client's reply is seen; or None.
    """

    algorithm: Algorithm
    setting: Setting
    per_client: bool = False
    defence: Defence | None = None

    def asked(self, round_number: int) -> Aggregation:
        """What the replies of a round must be."""
        if self.algorithm.aggregation is Aggregation.PER_CLIENT:
            return Aggregation.PER_CLIENT
        # contributions to an item graph are too large to be held one by one, and are bounded by
        # what an algorithm finds plausible
        if not self.per_client or asks_all_clients(self.algorithm, round_number):
            return Aggregation.SUM
        return Aggregation.PER_CLIENT

    def added(self, reports: list[Report]) -> list[Report]:
        """Replies of some of a round's clients, added up if nothing else is done with them.

        The list is emptied on the way, see `combine`.
        """
        if not reports or self.defence or self.algorithm.aggregation is Aggregation.PER_CLIENT:
            return reports
        return [combine(reports).total()]

    def combined(self, reports: list[Report]) -> Report:
        """The replies of a round, at least one, as one report of what the algorithm needs.

        The list is emptied on the way, see `combine`.
        """
        report = combine(reports)
        if self.defence is not None and report.aggregation is Aggregation.PER_CLIENT:
            plain = {name: value.plain() for name, value in report.arrays.items()}
            report = replace(report, arrays=plain)
            report = self.defence.combine(report, self.algorithm, self.setting)
        return report.total() if self.algorithm.aggregation is Aggregation.SUM else report
