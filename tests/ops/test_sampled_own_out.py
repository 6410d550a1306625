"""Scores of a sample of items against the columns of the scores of all items."""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.ops.item_graph import co_interactions, low_pass, nearness, normalised, ridge_inverse
from ufgraphfr.ops.leave_own_out import near_scores, past_sums, ridge_scores
from ufgraphfr.ops.sampled_own_out import sampled_near, sampled_ridge, sampled_smooth

CATALOGUE, DECAY, SHRINK = 12, 0.7, 3.0
WEIGHTS = torch.tensor([1.0, 0.6, 0.2])
SAMPLE = torch.tensor([7, 2, 11, 5])
PTR = torch.tensor([0, 6, 8, 12])
ITEMS = torch.tensor([3, 7, 1, 0, 9, 2, 5, 4, 2, 11, 6, 7])


def stretch() -> Tensor:
    padded = torch.full((3, 6), -1)
    place = torch.arange(len(ITEMS)) - PTR[owners(PTR, len(ITEMS))]
    padded[owners(PTR, len(ITEMS)), place] = ITEMS
    return padded


def columns(scores: Tensor) -> Tensor:
    """The sampled and the next items' columns after each item but the last."""
    own = stretch()
    following = own[:, 1:].clamp(min=0)
    return torch.cat((scores[..., SAMPLE], scores.gather(2, following[:, :, None])), -1)


def check(sampled: Tensor, scores: Tensor) -> None:
    real = stretch()[:, 1:] >= 0
    torch.testing.assert_close(sampled[real], columns(scores)[real])


def test_near_columns() -> None:
    total = torch.bincount(ITEMS, minlength=CATALOGUE).float()
    operator = normalised(nearness(PTR, ITEMS, CATALOGUE, WEIGHTS), total, SHRINK)
    rest = total, SHRINK, WEIGHTS, DECAY
    sampled = sampled_near(stretch(), SAMPLE, operator[:, SAMPLE], operator, *rest)
    check(sampled, near_scores(stretch(), operator, *rest))


def test_ridge_columns() -> None:
    inverse = ridge_inverse(co_interactions(PTR, ITEMS, CATALOGUE), 5.0).float()
    rest = PTR, ITEMS, DECAY
    sampled = sampled_ridge(stretch(), SAMPLE, inverse[:, SAMPLE], inverse, *rest)
    check(sampled, ridge_scores(stretch(), inverse, *rest))


def test_smooth_columns() -> None:
    vectors = low_pass(co_interactions(PTR, ITEMS, CATALOGUE), 0.3, 4)
    sampled = sampled_smooth(stretch(), SAMPLE, vectors, vectors.T, DECAY)
    check(sampled, past_sums(stretch()[:, :-1], vectors, DECAY) @ vectors.T)
