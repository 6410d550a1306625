"""The user graph against a dense matrix made entry by entry from written-out changes."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.algorithms.ufgraphfr import user_graph as server
from ufgraphfr.algorithms.ufgraphfr.neighbors import Neighbors
from ufgraphfr.algorithms.ufgraphfr.user_graph import GraphRule, user_graph

RULE = GraphRule("similarity", count=3, threshold="none", include_self=True, hops=1)
rules = st.builds(
    GraphRule,
    relation=st.sampled_from(["similarity", "distance"]),
    count=st.integers(1, 8),
    threshold=st.sampled_from(["none", "mean", 0.1]),
    include_self=st.booleans(),
    hops=st.integers(1, 3),
)


def made(users: int, seed: int) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """Factors, who has ever reported, and who reported last."""
    generator = torch.Generator().manual_seed(seed)
    factors = tuple(torch.randn(users, width, generator=generator) for width in (3, 4))
    known = torch.rand(users, generator=generator) < 0.7
    last = known & (torch.rand(users, generator=generator) < 0.7)
    return (factors[0], factors[1]), known, last.nonzero()[:, 0]


def written(lists: Neighbors, users: int) -> Tensor:
    dense = torch.zeros(len(lists.index), users, dtype=torch.float64)
    for row, (index, weight) in enumerate(zip(lists.index, lists.weight, strict=True)):
        for column, share in zip(index.tolist(), weight.tolist(), strict=True):
            dense[row, column] += share
    return dense


def relation(kind: Literal["similarity", "distance"], left: Tensor, right: Tensor) -> float:
    cosine = float(left @ right / (left.norm() * right.norm()))
    return cosine if kind == "similarity" else 1 - cosine


def oracle(
    rule: GraphRule, factors: tuple[Tensor, Tensor], known: Tensor, reporters: Tensor
) -> Tensor:
    """The matrix A, or its power, float64 ``[users, users]``."""
    users = len(known)
    changes = [
        torch.outer(a, b).flatten() for a, b in zip(*(f.double() for f in factors), strict=True)
    ]
    related: dict[tuple[int, int], float] = {
        (u, v): relation(rule.relation, changes[u], changes[v])
        for u in known.nonzero()[:, 0].tolist()
        for v in reporters.tolist()
        if rule.include_self or u != v
    }
    mean = sum(related.values()) / max(1, len(related))
    a = torch.zeros(users, users, dtype=torch.float64)
    for u in range(users):
        able = sorted((v for w, v in related if w == u), key=lambda v, u=u: -related[u, v])
        if rule.threshold == "none":
            near = able[: rule.count]
        else:
            bound = mean if rule.threshold == "mean" else rule.threshold
            # whether a relation that is the mean lies above it is up to rounding
            assume(all(abs(related[u, v] - bound) > 1e-5 for v in able))
            near = [v for v in able if related[u, v] > bound]
        for v in near:
            a[u, v] = 1 / len(near)
    power = a
    for _ in range(rule.hops - 1):
        power = power @ a
    return power


@given(rule=rules, users=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_the_graph_is_that_of_the_written_out_changes(
    rule: GraphRule, users: int, seed: int
) -> None:
    factors, known, reporters = made(users, seed)
    result = written(user_graph(rule, factors, known, reporters), users)
    torch.testing.assert_close(
        result, oracle(rule, factors, known, reporters), atol=1e-6, rtol=1e-6
    )


@given(rule=rules, users=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_weights_sum_to_one_or_nobody_is_near(rule: GraphRule, users: int, seed: int) -> None:
    rule = replace(rule, hops=1)
    factors, known, reporters = made(users, seed)
    result = written(user_graph(rule, factors, known, reporters), users)
    sums = result.sum(1)
    near_one = torch.isclose(sums, torch.ones_like(sums))
    assert bool((near_one | (sums == 0)).all())
    assert not bool(result[~known].any())
    silent = torch.ones(users, dtype=torch.bool)
    silent[reporters] = False
    assert not bool(result[:, silent].any())
    if not rule.include_self:
        assert not bool(result.diagonal().any())


def test_written_out_changes_may_stand_for_their_factors() -> None:
    factors, known, reporters = made(20, seed=1)
    joint = (factors[0][:, :, None] * factors[1][:, None, :]).flatten(1)
    left = written(user_graph(RULE, factors, known, reporters), 20)
    right = written(user_graph(RULE, (joint,), known, reporters), 20)
    assert torch.equal(left, right)


@pytest.mark.parametrize("threshold", ["none", "mean"])
def test_blocks_of_users_change_nothing(
    threshold: Literal["none", "mean"], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = replace(RULE, threshold=threshold, hops=2)
    factors, known, reporters = made(20, seed=2)
    whole = written(user_graph(rule, factors, known, reporters), 20)
    monkeypatch.setattr(server, "BLOCK", 3)
    torch.testing.assert_close(written(user_graph(rule, factors, known, reporters), 20), whole)


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("threshold", ["none", "mean", 0.0])
def test_before_anybody_reported_nobody_is_near(
    threshold: float | Literal["none", "mean"], hops: int
) -> None:
    factors, known, _ = made(4, seed=3)
    nobody = torch.zeros(0, dtype=torch.int64)
    rule = replace(RULE, threshold=threshold, hops=hops)
    graph = user_graph(rule, factors, torch.zeros_like(known), nobody)
    assert graph.index.shape == graph.weight.shape == (4, 0)


def test_a_user_whose_change_is_not_a_number_is_nobodys_neighbor() -> None:
    factors, _, _ = made(5, seed=4)
    factors[0][2] = math.nan
    everybody = torch.ones(5, dtype=torch.bool)
    for threshold in ("none", "mean"):
        rule = replace(RULE, count=5, threshold=threshold)
        result = written(user_graph(rule, factors, everybody, torch.arange(5)), 5)
        assert not bool(result[2].any())
        assert not bool(result[:, 2].any())
        assert bool(result[[0, 1, 3, 4]].any(1).all())
