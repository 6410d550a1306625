"""Each metric against figures worked out by hand, scikit-learn, and its contracts."""

import numpy as np
import pytest
import torch
from made_data import made_data
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.evaluation.metric_sums import Model, evaluate, evaluate_blends
from ufgraphfr.evaluation.metrics import (
    METRICS,
    NAMES,
    SHOWN,
    metric,
    ranked,
    summary,
    values,
    with_defaults,
)
from ufgraphfr.evaluation.metrics.base import ListMetric, RankMetric, TopLists
from ufgraphfr.evaluation.protocol import EvaluationSet
from ufgraphfr.testing import METRIC_CONTRACTS

ALL = [f"{kind}@{at}" for kind in METRICS.kinds for at in (1, 7) if kind not in ("auc", "mrr")]
ALL += ["auc", "mrr", "ndcg"]


@pytest.mark.parametrize("contract", METRIC_CONTRACTS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", ALL)
def test_every_metric_keeps_the_contracts(name, contract):
    contract(metric(name))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hr@2", [1, 1, 0, 0]),
        ("recall@2", [1, 1, 0, 0]),
        ("precision@2", [0.5, 0.5, 0, 0]),
        ("map@2", [1, 1 / 1.5, 0, 0]),
        ("map@4", [1, 1 / 1.5, 1 / 4, 0]),
        ("mrr", [1, 1 / 1.5, 1 / 4, 1 / 11]),
        ("ndcg@4", [1, 1 / np.log2(2.5), 1 / np.log2(5), 0]),
        ("auc", [1, 0.95, 0.7, 0]),
    ],
)
def test_values_of_ranks_among_eleven(name: str, expected: list[float]) -> None:
    ranks = np.array([1.0, 1.5, 4.0, 11.0])
    found = values(name, ranks, np.full(4, 11))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


LISTS = TopLists(listed=np.array([4, 0, 2, 2]), known=np.array([8, 1, 2, 0]), users=8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("coverage@2", 3 / 4),
        # shares ascending 0, 1/4, 1/4, 1/2 with the weights -3, -1, 1, 3
        ("gini@2", (-1 / 4 + 1 / 4 + 3 / 2) / 3),
        # 0, 2 and 3 bits, the last of an item that counts as known to one
        ("novelty@2", (4 * 0 + 2 * 2 + 2 * 3) / 8),
    ],
)
def test_figures_of_lists(name: str, expected: float) -> None:
    found = metric(name)
    assert isinstance(found, ListMetric)
    assert found.value(LISTS) == pytest.approx(expected)


def test_gini_is_0_if_all_are_shown_alike_and_1_if_one_is_all() -> None:
    gini = metric("gini")
    assert isinstance(gini, ListMetric)
    known = np.ones(5, np.int64)
    assert gini.value(TopLists(np.full(5, 3), known, 2)) == pytest.approx(0)
    assert gini.value(TopLists(np.array([0, 0, 6, 0, 0]), known, 2)) == pytest.approx(1)


def scores_of(clients: ClientBatch) -> Tensor:
    """Few distinct values, so that some tie."""
    grid = clients.clients[:, None] * 7919 + torch.arange(clients.n_items) * 104729
    return (grid % 8675309 % 97).double()


@pytest.fixture(scope="module")
def asked() -> EvaluationSet:
    split = leave_one_out(made_data(50, 200, 8), targets=2)
    return EvaluationSet.of(build(split, torch.empty(50, 0)), split, "test")


def candidates_of(asked: EvaluationSet, place: int, target: int) -> list[int]:
    own = asked.clients.select(torch.tensor([place]))
    others = set(own.items.tolist()) | (set(asked.targets[place].tolist()) - {target})
    return sorted(set(range(own.n_items)) - others)


def test_auc_agrees_with_scikit_learn(asked: EvaluationSet) -> None:
    found = evaluate(scores_of, asked, 7, with_defaults(["auc"]))
    scores = scores_of(asked.clients).numpy()
    each: list[float] = []
    for place in range(len(asked.clients)):
        own = []
        for target in asked.targets[place].tolist():
            items = np.array(candidates_of(asked, place, target))
            own.append(roc_auc_score(items == target, scores[place, items]))
        each.append(float(np.mean(own)))
    assert found.metrics["full"]["auc"] == pytest.approx(np.mean(each))
    assert found.metrics["sampled99"]["auc"] == pytest.approx(
        summary(found.sampled, found.users, [metric("auc")], np.full(len(found.users), 100))["auc"]
    )


def test_lists_of_several_lengths_are_counted_by_user(asked: EvaluationSet) -> None:
    """Without ties the lists of a loop over users are the lists."""

    def score(clients: ClientBatch) -> Tensor:
        return scores_of(clients) + torch.arange(clients.n_items) / 1000

    names = ["gini@3", "novelty@3", "coverage@25"]
    found = evaluate_blends(Model.of(score), torch.ones(1, 1), asked, 7, with_defaults(names)).of(0)
    scores = score(asked.clients).numpy()
    for at in (3, 10, 25):
        listed: NDArray[np.int64] = np.zeros(200, np.int64)
        for place in range(len(asked.clients)):
            own = asked.clients.select(torch.tensor([place])).items.numpy()
            items = np.setdiff1d(np.arange(200), own)
            listed[items[np.argsort(-scores[place, items])[:at]]] += 1
        assert np.array_equal(found.lists[at].listed, listed)
    known = np.bincount(asked.clients.items.numpy(), minlength=200)
    assert np.array_equal(found.lists[3].known, known)
    assert found.lists[3].users == len(asked.clients)
    assert set(found.metrics["full"]) == {*NAMES, "coverage@10", *names}
    assert set(found.metrics["sampled99"]) == set(NAMES)


def test_what_is_asked_for_changes_no_other_figure(asked: EvaluationSet) -> None:
    plain = evaluate(scores_of, asked).metrics
    more = evaluate(scores_of, asked, metrics=with_defaults(["auc", "map@7", "hr@10"])).metrics
    for ranking, found in plain.items():
        assert {name: more[ranking][name] for name in found} == found


def test_defaults_come_first_and_nothing_twice() -> None:
    names = [each.name for each in with_defaults(["gini", "hr@10", "gini@10"])]
    assert names == [*NAMES, "coverage@10", "gini@10"]
    assert [each.name for each in ranked(with_defaults())] == list(NAMES)
    assert set(SHOWN) <= set(names)


class Top(RankMetric):
    """Is the target the very first?"""

    def values(
        self, ranks: NDArray[np.float64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """See `RankMetric.values`."""
        return (ranks == 1).astype(np.float64)


def test_one_of_your_own_is_named_by_its_class() -> None:
    found = metric(f"{__name__}.Top")
    assert found.name == f"{__name__}.Top"
    assert summary(np.array([1.0, 2.0]), metrics=[found]) == {found.name: 0.5}


@pytest.mark.parametrize(
    "name", ["coverage@0", "gini@x", "auc@10", "precision", "my.module.Metric@5", "recal@10"]
)
def test_what_is_no_metric_is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(InputError, match=rf"no metric '{name}'.*recall@10"):
        metric(name)


def test_a_figure_of_lists_has_no_values() -> None:
    with pytest.raises(InputError, match="'gini@10' is not made of ranks"):
        values("gini", np.ones(3))
