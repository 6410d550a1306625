"""Metrics against scikit-learn, and at known ranks."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import (
    label_ranking_average_precision_score,
    ndcg_score,
    top_k_accuracy_score,
)

from ufgraphfr.core.errors import InputError
from ufgraphfr.evaluation.metrics import CUTOFFS, NAMES, summary, values
from ufgraphfr.ops.ranking import full_ranks

USERS, ITEMS = 60, 40


@pytest.fixture
def case() -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Scores without ties, targets, and the targets' ranks; items 0 to 4 are excluded."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(USERS, ITEMS))
    target = rng.integers(5, ITEMS, USERS)
    ptr = torch.arange(USERS + 1) * 5
    excluded = torch.arange(5).repeat(USERS)
    ranks = full_ranks(torch.from_numpy(scores), torch.from_numpy(target), ptr, excluded)
    return scores[:, 5:], target - 5, ranks.numpy()


def test_agrees_with_scikit_learn(
    case: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]],
) -> None:
    scores, target, ranks = case
    relevant = np.eye(ITEMS - 5)[target]
    ours = summary(ranks)
    for k in CUTOFFS:
        hits = top_k_accuracy_score(target, scores, k=k, labels=np.arange(ITEMS - 5))
        assert ours[f"hr@{k}"] == pytest.approx(hits)
        assert ours[f"ndcg@{k}"] == pytest.approx(ndcg_score(relevant, scores, k=k))
    assert ours["ndcg"] == pytest.approx(ndcg_score(relevant, scores))
    # with one relevant item the average precision is the reciprocal rank
    assert ours["mrr"] == pytest.approx(label_ranking_average_precision_score(relevant, scores))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hr@10", [1, 1, 1, 0, 0]),
        ("hr@5", [1, 1, 0, 0, 0]),
        ("ndcg@10", [1, 1 / np.log2(2.5), 1 / np.log2(11), 0, 0]),
        ("ndcg", 1 / np.log2([2, 2.5, 11, 11.5, 1001])),
        ("mrr", [1, 1 / 1.5, 0.1, 1 / 10.5, 0.001]),
    ],
)
def test_known_ranks(name: str, expected: list[float]) -> None:
    ranks = np.array([1.0, 1.5, 10.0, 10.5, 1000.0])
    np.testing.assert_allclose(values(name, ranks), expected)


def test_values_keep_the_shape_and_average_to_the_summary() -> None:
    ranks = np.random.default_rng(1).integers(1, 50, (3, 20)).astype(np.float64)
    means = summary(ranks)
    assert tuple(means) == NAMES
    for name in NAMES:
        each = values(name, ranks)
        assert each.shape == ranks.shape
        assert each.mean() == pytest.approx(means[name])


@pytest.mark.parametrize("name", ["ncdg@10", "hr@0", "hr", "ndcg@-1", "mrr@10"])
def test_an_unknown_metric_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"no metric '{name}'.*ndcg@10"):
        values(name, np.ones(3))


def test_who_has_no_rank_has_no_value_and_is_in_no_mean() -> None:
    ranks = np.array([1.0, np.nan, 3.0])
    for name in NAMES:
        assert np.isnan(values(name, ranks)).tolist() == [False, True, False]
    assert summary(ranks) == summary(ranks[[0, 2]])
    assert summary(ranks[1:2]) == {}
