"""ItemKNN: what resembles the items of the history.

Sarwar, Karypis, Konstan, Riedl, "Item-based collaborative filtering recommendation algorithms",
WWW 2001, on implicit feedback: s_ij = G_ij / (sqrt(G_ii G_jj) + shrink), G = X^T X; candidate j
scores the sum of decay^age(i) s_ij over the history items i among the ``neighbors`` nearest of j.
"""

from collections.abc import Iterator
from typing import ClassVar, final

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.baselines._links import (
    Links,
    coalesced,
    is_small,
    linked_scores,
    operator_bytes,
)
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.arrays.sparse_rows import owners, ranges
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import co_interactions, strongest
from ufgraphfr.ops.link_rows import AT_ONCE, bounded


@final
class ItemKNN(Baseline):
    """Nearest neighbours among items by shrunk cosine."""

    counted: ClassVar[dict[str, str]] = {"neighbors": "items"}

    neighbors: int = Field(100, ge=1)
    """Nearest items of each candidate that count; as many as the catalogue has: all."""
    shrink: float = Field(20.0, ge=0)
    """Pulls similarities that rest on few clients to zero."""
    decay: float = Field(0.9, gt=0, le=1)
    """Weight of a history item relative to the next one."""

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """``operator``, from history item to candidate: see `Links.arrays`."""
        items = training.n_items
        if is_small(items):
            return {"operator": self._dense(training)}
        root = torch.bincount(training.items, minlength=items).float().sqrt()
        found = []
        for pairs, counts in _co_interactions(training):
            candidate, history = pairs // items, pairs % items
            similar = counts / (root[candidate] * root[history] + self.shrink)
            kept = strongest(candidate, similar, self.neighbors)
            found.append((history[kept], candidate[kept], similar[kept]))
        row, column, value = (torch.cat(parts) for parts in zip(*found, strict=True))
        return Links.of(row, column, value, items).arrays("operator")

    def _dense(self, training: ClientBatch) -> Tensor:
        gram = co_interactions(training.ptr, training.items, training.n_items)
        # an item nobody has is similar to nothing
        root = gram.diagonal().clamp(min=1).sqrt()
        similar = gram.fill_diagonal_(0) / (torch.outer(root, root) + self.shrink)
        values, nearest = similar.topk(min(self.neighbors, training.n_items), dim=1)
        return torch.zeros_like(similar).scatter_(1, nearest, values).T.contiguous()

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """The recency-weighted sum of similarities."""
        return linked_scores(fitted, "operator", inputs, self.decay)

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """The links, and some rows of the counts of pairs at a time."""
        if is_small(items):
            return 20 * items**2 + 4 * 1024 * items
        links = min(items * min(self.neighbors, items), items**2)
        return operator_bytes(items, links) + 192 * AT_ONCE + 64 * (interactions + items)


def _co_interactions(training: ClientBatch) -> Iterator[tuple[Tensor, Tensor]]:
    """How many clients have both items, for the pairs that anybody has, row after row.

    Work is in proportion to the pairs within histories; memory is bounded, see `bounded`.

    Yields:
        whole rows: ``row * items + column``, int64 ``[pairs]``, ascending, and float32 counts.
    """
    items = training.n_items
    by_item = training.items.argsort(stable=True)
    row = training.items[by_item]
    having = owners(training.ptr, len(row))[by_item]
    lengths = training.counts[having]
    begun, before = row[:0], torch.zeros(0)
    for part in bounded(lengths):
        others = training.items[ranges(training.ptr[having[part]], lengths[part])]
        one = torch.repeat_interleave(row[part], lengths[part])
        pair = (one * items + others)[one != others]
        pairs = torch.cat((begun, pair))
        pairs, counts = coalesced(pairs, torch.cat((before, torch.ones(len(pair)))))
        # the last row may go on in the next part
        whole = int(torch.searchsorted(pairs, row[part][-1] * items))
        begun, before = pairs[whole:], counts[whole:]
        yield pairs[:whole], counts[:whole]
    yield begun, before
