"""Neighbor lists of a user graph, and powers of it. Rows of every list sum to one, or are empty."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Neighbors:
    """Weighted neighbors of each node.

    Attributes:
        index: int64 ``[nodes, neighbors]``.
        weight: float ``[nodes, neighbors]``, 0 for padding.
    """

    index: Tensor
    weight: Tensor


def top(relation: Tensor, count: int) -> Neighbors:
    """The ``count`` largest entries of each row of ``[m, n]``, weighted uniformly.

    NaN and -inf never count; a row without any entry has no neighbors.
    """
    comparable = relation.masked_fill(relation.isnan(), -torch.inf)
    values, index = comparable.topk(min(count, relation.shape[1]))
    return Neighbors(index, _uniform(values > -torch.inf))


def above(relation: Tensor, threshold: Tensor | float) -> Neighbors:
    """All entries above a threshold, weighted uniformly."""
    chosen = relation > threshold
    width = int(chosen.sum(1).max()) if len(chosen) else 0
    order = chosen.int().argsort(dim=1, descending=True, stable=True)[:, :width]
    return Neighbors(order, _uniform(chosen.gather(1, order)))


def _uniform(chosen: Tensor) -> Tensor:
    return chosen.float() / chosen.sum(1, keepdim=True).clamp(min=1)


def join(parts: list[Neighbors]) -> Neighbors:
    """The nodes of all parts, one after another."""
    width = max(part.index.shape[1] for part in parts)
    padded = [
        (
            torch.nn.functional.pad(part.index, (0, width - part.index.shape[1])),
            torch.nn.functional.pad(part.weight, (0, width - part.weight.shape[1])),
        )
        for part in parts
    ]
    return Neighbors(torch.cat([p[0] for p in padded]), torch.cat([p[1] for p in padded]))


def as_sparse(neighbors: Neighbors, nodes: int) -> Tensor:
    """The matrix of the lists, sparse ``[nodes of the lists, nodes]``."""
    rows = torch.arange(len(neighbors.index), device=neighbors.index.device)
    cells = torch.stack((rows[:, None].expand_as(neighbors.index), neighbors.index)).flatten(1)
    size = (len(neighbors.index), nodes)
    weight = neighbors.weight.flatten()
    return torch.sparse_coo_tensor(cells, weight, size, check_invariants=False).coalesce()


def hop(neighbors: Neighbors, graph: Neighbors, hops: int) -> Neighbors:
    """Neighbors reached in ``hops`` steps: the first by ``neighbors``, the others by ``graph``.

    Args:
        neighbors: of any nodes, among the nodes of ``graph``.
        graph: the neighbors of those, among themselves.
        hops: at least 1.
    """
    if hops == 1:
        return neighbors
    nodes = len(graph.index)
    reached = as_sparse(neighbors, nodes)
    step = as_sparse(graph, nodes)
    with warnings.catch_warnings():
        # torch calls its sparse products a beta; the tests check them against dense ones
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        for _ in range(hops - 1):
            reached = torch.sparse.mm(reached, step).coalesce()
    (row, column), value = reached.indices(), reached.values()
    counts = torch.bincount(row, minlength=len(neighbors.index))
    width = int(counts.max()) if len(counts) else 0
    slot = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    index = torch.zeros(len(counts), width, dtype=torch.int64, device=row.device)
    weight = torch.zeros(len(counts), width, device=row.device)
    index[row, slot], weight[row, slot] = column, value
    return Neighbors(index, weight)
