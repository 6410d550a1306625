"""Recall and NDCG of all of a user's targets in one ranking, against a plain sort."""

import numpy as np
import pytest
import torch

from ufgraphfr.evaluation.metrics import joint_ranks, metric, summary, user_values
from ufgraphfr.evaluation.metrics.base import RankMetric
from ufgraphfr.ops.ranking import each_rank, leave_candidates

USERS, ITEMS, K = 30, 50, 5


def drawn() -> tuple[np.ndarray, np.ndarray, list[tuple[float, float]]]:
    """Ranks without the other targets, whose they are, and the literature's figures by sorting."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(USERS, ITEMS, generator=generator)
    ranks, users, expected = [], [], []
    nothing = torch.zeros(2, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    for user, own in enumerate(scores):
        count = 1 + user % 8
        targets = torch.randperm(ITEMS, generator=generator)[:count]
        candidates = leave_candidates(own[None], targets[None], *nothing)
        ranks.append(each_rank(own[None], candidates, targets[None])[0].numpy())
        users.append(np.full(count, user))
        hits = [int(item in targets) for item in own.argsort(descending=True)[:K]]
        gained = sum(hit / np.log2(place + 2) for place, hit in enumerate(hits))
        ideal = sum(1 / np.log2(place + 2) for place in range(min(K, count)))
        expected.append((sum(hits) / count, gained / ideal))
    return np.concatenate(ranks), np.concatenate(users), expected


def test_they_are_those_of_one_sorted_list() -> None:
    ranks, users, expected = drawn()
    for column, kind in enumerate(("joint-recall", "joint-ndcg")):
        found = metric(f"{kind}@{K}")
        assert isinstance(found, RankMetric)
        own = user_values(found, np.stack((ranks, ranks + 1)), users)
        np.testing.assert_allclose(own[0], [each[column] for each in expected])
        assert own[1].sum() < own[0].sum()
        mean = summary(ranks, users, [found])[f"{kind}@{K}"]
        assert mean == pytest.approx(np.mean([each[column] for each in expected]))


def test_the_best_ranking_has_one() -> None:
    ranks, users = np.ones(7), np.array([1, 1, 1, 4, 9, 9, 9])
    recall, ndcg = metric("joint-recall@3"), metric("joint-ndcg@3")
    assert isinstance(recall, RankMetric)
    assert isinstance(ndcg, RankMetric)
    assert user_values(recall, ranks, users).tolist() == [1, 1, 1]
    assert user_values(ndcg, ranks, users)[1] == 1
    falling = joint_ranks(np.array([1.0, 1.0, 2.0]), np.array([1, 1, 1]))
    assert falling.tolist() == [1.0, 2.0, 4.0]


def test_users_without_ranks_have_none() -> None:
    ranks, users = np.array([np.nan, np.nan, 3.0, 2.0]), np.array([0, 0, 5, 5])
    found = joint_ranks(ranks, users)
    assert np.isnan(found[:2]).all()
    assert found[2:].tolist() == [4.0, 2.0]
