"""Multi-Krum (Blanchard et al., "Machine learning with adversaries", NeurIPS 2017).

A client's score is the sum of squared distances to its n - f - 2 nearest clients; the replies of
the n - f clients with the lowest scores count. Distances are over all arrays together.
"""

from dataclasses import replace

import torch
from pydantic import Field

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.messages import Aggregation, Report, one_row
from ufgraphfr.federation.defences.base import Defence, dense_for_sum


class Krum(Defence):
    """The mean of the replies that lie nearest to others."""

    suspected: float = Field(0.1, gt=0, lt=0.5)
    """Share of the clients to leave out, f / n."""

    def combine(self, report: Report, algorithm: Algorithm, setting: Setting) -> Report:
        """See `Defence.combine`."""
        clients = len(report.clients)
        bad = int(self.suspected * clients + 0.5)
        dense = dense_for_sum(report, algorithm, self.kind)
        flat = torch.cat([value.flatten(1) for value in dense.values()], dim=1)
        squares = torch.cdist(flat, flat).square_()
        nearest = squares.sort(1).values[:, 1 : max(1, clients - bad - 2) + 1].sum(1)
        kept = nearest.argsort(stable=True)[: clients - bad]
        sums = {name: value[kept].mean(0) * clients for name, value in dense.items()}
        return replace(report, arrays=one_row(sums), aggregation=Aggregation.SUM)
