"""iALS: matrix factorisation of implicit feedback by alternating least squares.

Hu, Koren, Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008, with the
advice of Rendle, Krichene, Zhang, Koren, "Revisiting the performance of iALS on item recommendation
benchmarks", RecSys 2022. Over W [clients, dim] and H [items, dim], with S the observed pairs:

  L = sum_S (w_u . h_i - 1)^2 + unobserved * sum_all (w_u . h_i)^2
      + reg * sum_u (|S_u| + unobserved |I|)^power ||w_u||^2, and the same for items.

Each side in turn is one least-squares problem a row. A client is folded in: its w is solved anew
from its input, whose items count decay^age.
"""

from collections.abc import Iterator
from typing import final

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.arrays.sparse_rows import owners, pointers
from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch

_CHUNK = 2**22
"""Factor entries gathered at a time; bounds memory at 32 MB of float64, or one row's own."""


@final
class Ials(Baseline):
    """Alternating least squares with all unobserved pairs as weak negatives."""

    dim: int = Field(64, ge=1)
    """Width of the factors."""
    epochs: int = Field(16, ge=1)
    """Passes over both sides."""
    unobserved: float = Field(0.3, gt=0)
    """Weight of every pair as a zero, alpha_0 in the paper; an observed pair weighs 1."""
    reg: float = Field(0.01, gt=0)
    """The regulariser, lambda in the paper."""
    power: float = Field(1.0, ge=0, le=1)
    """How the regulariser grows with a row's weight: 1 is frequency-scaled, 0 the same for all."""
    decay: float = Field(0.9, gt=0, le=1)
    """Weight of a history item relative to the next one, when a client is folded in."""
    seed: int = Field(0, ge=0)
    """Added to the run's: of the initial item factors."""

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """``items``: float64 ``[items, dim]``."""
        ones = torch.ones(len(training.items), dtype=torch.float64)
        # the transposed matrix: the clients (by place) that have each item
        counts = torch.bincount(training.items, minlength=training.n_items)
        item_ptr = pointers(counts)
        by_item = training.items.argsort(stable=True)
        having = owners(training.ptr, len(training.items))[by_item]
        start = torch.randn(
            training.n_items, self.dim, generator=Key(self.seed).generator(), dtype=torch.float64
        )
        # small products at the start, whatever the width: .1 / sqrt(dim), as in the paper
        items = start * (0.1 / self.dim**0.5)
        for _ in range(self.epochs):
            clients = self._solved(training.ptr, training.items, ones, items)
            items = self._solved(item_ptr, having, ones, clients)
        return {"items": items}

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """Products of all items with the folded-in client."""
        weights = inputs.recency(self.decay)
        clients = self._solved(inputs.ptr, inputs.items, weights, fitted["items"])
        return (clients @ fitted["items"].T).float()

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """Both sides' factors, the transposed matrix, and what is gathered at a time."""
        return 16 * self.dim * (users + items) + 64 * interactions + 32 * _CHUNK

    def _solved(self, ptr: Tensor, index: Tensor, weights: Tensor, other: Tensor) -> Tensor:
        """The best factors of one side when the other's are fixed.

        Args:
            ptr: int64 ``[rows + 1]``, the rows' places in ``index``.
            index: int64 ``[pairs]``, the observed columns.
            weights: float64 ``[pairs]``.
            other: float64 ``[columns, dim]``.

        Returns:
            float64 ``[rows, dim]``; zeros for a row without pairs.
        """
        everything = self.unobserved * (other.T @ other)
        solved = other.new_zeros(len(ptr) - 1, other.shape[1])
        for rows, places, real in _batches(ptr, other.shape[1]):
            weight = weights[places] * real
            seen = other[index[places]]
            weighted = seen * weight[..., None]
            total = weight.sum(1) + self.unobserved * len(other)
            gram = torch.baddbmm(everything, weighted.transpose(1, 2), seen)
            gram.diagonal(dim1=1, dim2=2).add_((self.reg * total**self.power)[:, None])
            factor = torch.linalg.cholesky(gram)
            solved[rows] = torch.cholesky_solve(weighted.sum(1)[..., None], factor)[..., 0]
        return solved


def _batches(ptr: Tensor, dim: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows of similar length, padded to the longest of them.

    Yields:
        int64 ``[rows]``; int64 ``[rows, length]``, places of their pairs, 0 where padded; bool
        ``[rows, length]``, False where padded.
    """
    order = ptr.diff().argsort(descending=True, stable=True)
    lengths = ptr.diff()[order]
    first = 0
    while first < len(order) and int(lengths[first]):
        longest = int(lengths[first])
        rows = order[first : first + max(1, _CHUNK // (max(longest, dim) * dim))]
        column = torch.arange(longest, device=ptr.device)
        real = column < ptr.diff()[rows][:, None]
        yield rows, (ptr[rows][:, None] + column).where(real, 0), real
        first += len(rows)
