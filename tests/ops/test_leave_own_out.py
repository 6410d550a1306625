"""Leaving the own contribution out against graphs built without its owner."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.ops.item_graph import co_interactions, nearness, normalised, ridge_inverse
from ufgraphfr.ops.leave_own_out import near_scores, ridge_scores

CATALOGUE, DECAY, SHRINK, RIDGE = 12, 0.7, 3.0, 5.0
WEIGHTS = torch.tensor([1.0, 0.6, 0.2])


@pytest.fixture
def histories() -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    lengths = [6, 4, 1, 8, 5]
    return [torch.randperm(CATALOGUE, generator=generator)[:n].tolist() for n in lengths]


def csr(histories: list[list[int]]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([0, *map(len, histories)])
    return lengths.cumsum(0), torch.tensor([i for own in histories for i in own])


def padded(histories: list[list[int]]) -> Tensor:
    """With an end for all, so that there are scores after every item."""
    seen = torch.full((len(histories), max(map(len, histories)) + 1), -1)
    for row, own in zip(seen, histories, strict=True):
        row[: len(own)] = torch.tensor(own)
    return seen


def expected(operator: Tensor, own: list[int]) -> Tensor:
    """Scores after each item."""
    return torch.stack(
        [
            sum(DECAY ** (place - i) * operator[own[i]] for i in range(place + 1))
            for place in range(len(own))
        ]
    )


def test_near_scores_are_those_of_everybody_else(histories: list[list[int]]) -> None:
    total = torch.bincount(csr(histories)[1], minlength=CATALOGUE).float()
    near = nearness(*csr(histories), CATALOGUE, WEIGHTS)
    operator = normalised(near, total, SHRINK)
    scores = near_scores(padded(histories), operator, total, SHRINK, WEIGHTS, DECAY)
    for user, own in enumerate(histories):
        others = [other for place, other in enumerate(histories) if place != user]
        counts = nearness(*csr(others), CATALOGUE, WEIGHTS)
        fair = normalised(counts, total, SHRINK)
        torch.testing.assert_close(scores[user, : len(own)], expected(fair, own))


def test_ridge_scores_are_those_of_everybody_else(histories: list[list[int]]) -> None:
    inverse = ridge_inverse(co_interactions(*csr(histories), CATALOGUE), RIDGE).float()
    scores = ridge_scores(padded(histories), inverse, *csr(histories), DECAY)
    for user, own in enumerate(histories):
        others = [other for place, other in enumerate(histories) if place != user]
        fair = ridge_inverse(co_interactions(*csr(others), CATALOGUE), RIDGE).float()
        operator = (-fair / fair.diagonal()).fill_diagonal_(0)
        torch.testing.assert_close(scores[user, : len(own)], expected(operator, own))


def test_a_stretch_leaves_the_whole_history_out_of_the_ridge(histories: list[list[int]]) -> None:
    inverse = ridge_inverse(co_interactions(*csr(histories), CATALOGUE), RIDGE).float()
    stretch = padded([own[-1:] for own in histories])
    scores = ridge_scores(stretch, inverse, *csr(histories), DECAY)
    for user, own in enumerate(histories):
        others = [other for place, other in enumerate(histories) if place != user]
        fair = ridge_inverse(co_interactions(*csr(others), CATALOGUE), RIDGE).float()
        operator = (-fair / fair.diagonal()).fill_diagonal_(0)
        torch.testing.assert_close(scores[user, 0], operator[own[-1]])
