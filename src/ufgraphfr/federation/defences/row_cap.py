"""The default: no client moves an item further than the typical client moves its most moved one.

For each table the cap is the median over clients of the norm of a client's largest row, times a
factor; longer rows are scaled to it. Half the clients would have to collude to move a median. An
array without item rows is capped as a whole. A row is an item's vector: to push one item, a client
has one row, whatever the rest of its reply.
"""

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import item_views
from ufgraphfr.core.arrays.protocol import Array, Plain
from ufgraphfr.core.messages import Report
from ufgraphfr.federation.defences.base import Defence


class RowCap(Defence):
    """Rows no longer than ``factor`` times the median client's longest."""

    factor: float = Field(0.05, gt=0)
    """Of the median client's longest row. A client's rows differ in length a hundredfold; at 1 few
    attackers suffice to lift an item; at .05 the honest model is almost as good (see audits.md)."""

    def combine(self, report: Report, algorithm: Algorithm, setting: Setting) -> Report:
        """See `Defence.combine`."""
        arrays = dict[str, Array]()
        for name, value in report.arrays.items():
            plain = value.plain()
            if plain.sparse:
                arrays[name] = self._capped_rows(plain)
                continue
            # counts become weights: a scaled history counts for less
            copy = plain.values.float().clone()
            for view in item_views(algorithm, {name: copy}, setting, report.round).values():
                self._cap(view, setting.items)
            arrays[name] = plain.with_values(copy)
        return replace(report, arrays=arrays)

    def _capped_rows(self, rows: Plain) -> Plain:
        norms = _norms(rows.values, 1)
        longest = norms.new_zeros(rows.clients).scatter_reduce_(0, rows.owner, norms, "amax")
        return rows.with_values(rows.values * self._scale(norms, longest)[:, None])

    def _cap(self, view: Tensor, items: int) -> None:
        """Scale in place what is too long, float ``[clients, ...]``."""
        square = view.shape[1:] == (items, items)
        if view.shape[1:2] == (items,) and not square:
            by_row = view.flatten(2) if view.dim() > 2 else view[..., None]
            norms = _norms(by_row, 2)
            view.mul_(self._scale(norms, norms.amax(1)).view(norms.shape + (1,) * (view.dim() - 2)))
            return
        # pairs of items stay the square of one history
        norms = _norms(view.flatten(1), 1)
        view.mul_(self._scale(norms, norms).view(-1, *[1] * (view.dim() - 1)))

    def _scale(self, norms: Tensor, longest: Tensor) -> Tensor:
        """Factors that bring ``norms`` under the cap that the clients' ``longest`` give."""
        cap = self.factor * longest.median() if len(longest) else norms.new_zeros(())
        factors = torch.where(norms > cap, cap / norms, 1.0)
        # float32 holds few digits of still smaller ones, and what they leave is nothing
        return factors.where(factors >= torch.finfo(torch.float32).tiny, 0.0).float()


def _norms(values: Tensor, dim: int) -> Tensor:
    """Lengths in float64: the square of a large float32 would be infinite."""
    norms: Tensor = torch.linalg.vector_norm(values, dim=dim, dtype=torch.float64)
    return norms
