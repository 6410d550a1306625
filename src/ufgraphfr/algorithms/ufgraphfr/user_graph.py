"""The server's user graph: who is near whom, by the change of their joint embedding layers.

A client's change of the joint embedding layer is ``step text^T``, rank one, so the cosine of two
changes is the product of the cosines of their factors, and the changes are never formed.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.algorithms.ufgraphfr.neighbors import Neighbors, above, hop, join, top

BLOCK = 1024
"""Users whose relations to all others are held at once."""


@dataclass(frozen=True)
class GraphRule:
    """Which users become neighbors; see the fields of `UFGraphFR`."""

    relation: Literal["similarity", "distance"]
    count: int
    threshold: float | Literal["none", "mean"]
    include_self: bool
    hops: int


def user_graph(
    rule: GraphRule, factors: tuple[Tensor, ...], known: Tensor, reporters: Tensor
) -> Neighbors:
    """Neighbors of every user among those who reported last.

    Args:
        rule: which users become neighbors.
        factors: the factors of the joint-layer changes, each float ``[users, width]``.
        known: bool ``[users]``, who has ever reported; the others get no neighbors.
        reporters: int64 ``[reporters]``, who reported last, ascending.

    Returns:
        Lists for all users; ``index`` holds user numbers.
    """
    everyone = torch.arange(len(known), device=known.device)
    threshold = _threshold(rule, factors, known, reporters)
    lists = join(
        [
            _choose(rule, _relation(rule, factors, known, block, reporters), threshold)
            for block in everyone.split(BLOCK)
        ]
    )
    if rule.hops > 1:
        among = Neighbors(lists.index[reporters], lists.weight[reporters])
        lists = hop(lists, among, rule.hops)
    return Neighbors(reporters[lists.index], lists.weight)


def _relation(
    rule: GraphRule, factors: tuple[Tensor, ...], known: Tensor, rows: Tensor, columns: Tensor
) -> Tensor:
    """Float ``[rows, columns]``; -inf where there can be no edge."""
    cosine = factored_cosine(tuple(f[rows] for f in factors), tuple(f[columns] for f in factors))
    relation = 1 - cosine if rule.relation == "distance" else cosine
    excluded = ~known[rows][:, None].expand_as(relation)
    if not rule.include_self:
        excluded = excluded | (rows[:, None] == columns)
    return relation.masked_fill(excluded, -torch.inf)


def _threshold(
    rule: GraphRule, factors: tuple[Tensor, ...], known: Tensor, reporters: Tensor
) -> float | None:
    if rule.threshold == "none":
        return None
    if rule.threshold != "mean":
        return float(rule.threshold)
    total, count = 0.0, 0
    for block in known.nonzero()[:, 0].split(BLOCK):
        relation = _relation(rule, factors, known, block, reporters)
        possible = relation[relation > -torch.inf]
        total, count = total + float(possible.double().sum()), count + len(possible)
    return total / max(1, count)


def _choose(rule: GraphRule, relation: Tensor, threshold: float | None) -> Neighbors:
    return top(relation, rule.count) if threshold is None else above(relation, threshold)


def factored_cosine(left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> Tensor:
    """Cosines of Kronecker products, from their factors.

    Args:
        left: factors, each float ``[m, width]``.
        right: the same factors of others, each float ``[n, width]``.

    Returns:
        float ``[m, n]``.
    """
    cosines = [
        F.normalize(a, dim=1) @ F.normalize(b, dim=1).T for a, b in zip(left, right, strict=True)
    ]
    product = cosines[0]
    for cosine in cosines[1:]:
        product = product * cosine
    return product
