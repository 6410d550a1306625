"""Ranks and top lists against a slow obvious oracle."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.ops.ranking import full_ranks, sampled_ranks, top

ITEMS = 6
SCORES = st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0, math.inf, math.nan])
CLIENT = st.tuples(
    st.lists(SCORES, min_size=ITEMS, max_size=ITEMS),
    st.integers(0, ITEMS - 1),
    st.sets(st.integers(0, ITEMS - 1)),
)
CLIENTS = st.lists(CLIENT, min_size=1, max_size=5)


def slow_rank(scores: list[float], target: int, candidates: list[int]) -> float:
    """Rank of the target among other candidates, by the definition."""
    if math.isnan(scores[target]):
        return 1.0 + len(candidates)
    better = sum(scores[item] > scores[target] for item in candidates)
    ties = sum(scores[item] == scores[target] for item in candidates)
    return 1.0 + better + ties / 2


def csr(sets: list[list[int]]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([0, *(len(own) for own in sets)])
    return lengths.cumsum(0), torch.tensor([x for own in sets for x in own], dtype=torch.int64)


@given(CLIENTS)
def test_full_ranks_follow_the_definition(
    clients: list[tuple[list[float], int, set[int]]],
) -> None:
    scores = torch.tensor([row for row, _, _ in clients])
    target = torch.tensor([wanted for _, wanted, _ in clients])
    ptr, excluded = csr([sorted(out) for _, _, out in clients])
    expected = [
        slow_rank(row, wanted, [i for i in range(ITEMS) if i != wanted and i not in out])
        for row, wanted, out in clients
    ]
    assert full_ranks(scores, target, ptr, excluded).tolist() == expected


@given(CLIENTS)
def test_sampled_ranks_follow_the_definition(
    clients: list[tuple[list[float], int, set[int]]],
) -> None:
    scores = torch.tensor([row for row, _, _ in clients])
    target = torch.tensor([wanted for _, wanted, _ in clients])
    rivals = [[(wanted + step) % ITEMS for step in (1, 3, 4)] for _, wanted, _ in clients]
    expected = [
        slow_rank(row, wanted, own) for (row, wanted, _), own in zip(clients, rivals, strict=True)
    ]
    assert sampled_ranks(scores, target, torch.tensor(rivals)).tolist() == expected


@given(CLIENTS, st.integers(1, ITEMS + 2))
def test_top_lists_the_best_candidates_and_nan_last(
    clients: list[tuple[list[float], int, set[int]]], count: int
) -> None:
    scores = torch.tensor([row for row, _, _ in clients])
    before = scores.clone()
    ptr, excluded = csr([sorted(out) for _, _, out in clients])
    lists = top(scores, count, ptr, excluded).tolist()
    assert torch.equal(scores.nan_to_num(7.0), before.nan_to_num(7.0)), "the scores were changed"
    for (row, _, out), listed in zip(clients, lists, strict=True):
        allowed = [i for i in range(ITEMS) if i not in out]
        shown = [i for i in listed if i >= 0]
        assert len(listed) == min(count, ITEMS)
        assert len(shown) == len(set(shown)) == min(count, len(allowed))
        assert set(shown) <= set(allowed)
        assert listed[len(shown) :] == [-1] * (len(listed) - len(shown))
        # two orders of the same quality differ only among equal scores
        best = sorted(allowed, key=lambda i: (math.isnan(row[i]), -row[i]))[: len(shown)]
        assert str([row[i] for i in shown]) == str([row[i] for i in best])


def test_a_constant_scorer_sits_in_the_middle() -> None:
    ptr, excluded = csr([[0, 1], []])
    ranks = full_ranks(torch.zeros(2, 100), torch.tensor([50, 50]), ptr, excluded)
    assert ranks.tolist() == [49.5, 50.5]


def test_nan_everywhere_is_the_last_place() -> None:
    scores = torch.full((1, 100), torch.nan)
    ptr, excluded = csr([[3]])
    target = torch.tensor([5])
    assert full_ranks(scores, target, ptr, excluded).item() == 99
    assert sampled_ranks(scores, target, torch.arange(10, 20)[None]).item() == 11


def test_the_target_is_a_candidate_even_if_excluded() -> None:
    scores = torch.tensor([[3.0, 2.0, 1.0]])
    ptr, excluded = csr([[0, 1]])
    assert full_ranks(scores, torch.tensor([1]), ptr, excluded).item() == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_any_floating_type(dtype: torch.dtype) -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0, torch.nan]], dtype=dtype)
    ptr, excluded = csr([[2]])
    rank = full_ranks(scores, torch.tensor([0]), ptr, excluded)
    assert rank.dtype == torch.float64
    assert rank.item() == 2
    assert top(scores, 4, ptr, excluded).tolist() == [[1, 0, 3, -1]]
