"""Coordinate-wise trimmed mean (Yin et al., "Byzantine-robust distributed learning", ICML 2018).

It costs a recommender most of its accuracy: few clients touch an item, so what is trimmed at an
item's row is just the clients who know it. Kept for comparison.
"""

from dataclasses import replace

from pydantic import Field

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.messages import Aggregation, Report, one_row
from ufgraphfr.federation.defences.base import Defence, dense_for_sum


class TrimmedMean(Defence):
    """The mean without the largest and the smallest values of each coordinate."""

    trim: float = Field(0.1, gt=0, lt=0.5)
    """Share of the clients that is left out at either end."""

    def combine(self, report: Report, algorithm: Algorithm, setting: Setting) -> Report:
        """See `Defence.combine`."""
        clients = len(report.clients)
        out = min(int(self.trim * clients + 0.5), (clients - 1) // 2)
        dense = dense_for_sum(report, algorithm, self.kind)
        sums = {
            name: value.sort(0).values[out : clients - out].mean(0) * clients
            for name, value in dense.items()
        }
        return replace(report, arrays=one_row(sums), aggregation=Aggregation.SUM)
