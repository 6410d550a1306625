"""New users: the history they are given, and NDCG@10 of ten targets against scikit-learn."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
import torch
from made_data import made_data
from sklearn.metrics import ndcg_score
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.split import COLD_KNOWN, Split, leave_one_out
from ufgraphfr.evaluation.kept_out import KeptOutResult, evaluate_cold, evaluate_cold_all

Evaluated: TypeAlias = Callable[..., KeptOutResult]
NAMES = [f"ndcg@10 known={known}" for known in COLD_KNOWN]


def random_scores(clients: ClientBatch) -> Tensor:
    """The same for a client in any chunk, without ties."""
    rows = [np.random.default_rng(client).normal(size=200) for client in clients.clients.tolist()]
    return torch.from_numpy(np.stack(rows))


def test_agrees_with_scikit_learn(batch: ClientBatch, split: Split) -> None:
    outcome = evaluate_cold(random_scores, batch, split, chunk=3)
    assert outcome.users.tolist() == split.cold_users.tolist()
    scores = random_scores(batch.select(torch.from_numpy(split.cold_users))).numpy()
    for name, known in zip(NAMES, COLD_KNOWN, strict=True):
        for place, items in enumerate(split.first_items):
            allowed = np.setdiff1d(np.arange(split.n_items), items[:known])
            relevant = np.isin(allowed, items[known : known + 10])
            expected = ndcg_score([relevant], [scores[place, allowed]], k=10)
            assert outcome.ndcg[name][place] == pytest.approx(expected)
    for name in NAMES:
        assert outcome.metrics[name] == pytest.approx(outcome.ndcg[name].mean())


def test_all_later_items_agree_with_scikit_learn(batch: ClientBatch, split: Split) -> None:
    outcome = evaluate_cold_all(random_scores, batch, split, chunk=3)
    assert outcome.users.tolist() == split.cold_users.tolist()
    scores = random_scores(batch.select(torch.from_numpy(split.cold_users))).numpy()
    for name, known in zip(NAMES, COLD_KNOWN, strict=True):
        for place, user in enumerate(split.cold_users):
            own = split.history[split.history_ptr[user] : split.history_ptr[user + 1]]
            assert len(own) > known + 10
            allowed = np.setdiff1d(np.arange(split.n_items), own[:known])
            relevant = np.isin(allowed, own[known:])
            expected = ndcg_score([relevant], [scores[place, allowed]], k=10)
            assert outcome.ndcg[name][place] == pytest.approx(expected)


@pytest.mark.parametrize("evaluated", [evaluate_cold, evaluate_cold_all])
def test_who_has_fewer_items_is_asked_for_them(evaluated: Evaluated) -> None:
    split = leave_one_out(made_data(30, 200, 3), cold_users=0.5, cold_least=3)
    batch = build(split, torch.zeros(30, 1))
    outcome = evaluated(random_scores, batch, split, chunk=3)
    scores = random_scores(batch.select(torch.from_numpy(split.cold_users))).numpy()
    short = 0
    for name, known in zip(NAMES, COLD_KNOWN, strict=True):
        for place, user in enumerate(split.cold_users):
            own = split.history[split.history_ptr[user] : split.history_ptr[user + 1]]
            later = own[known:] if evaluated is evaluate_cold_all else own[known : known + 10]
            if len(later) == 0:
                assert np.isnan(outcome.ndcg[name][place])
                continue
            short += len(later) < 10
            allowed = np.setdiff1d(np.arange(split.n_items), own[:known])
            relevant = np.isin(allowed, later)
            expected = ndcg_score([relevant], [scores[place, allowed]], k=10)
            assert outcome.ndcg[name][place] == pytest.approx(expected)
        assert outcome.metrics[name] == pytest.approx(np.nanmean(outcome.ndcg[name]))
    assert short
    assert np.isnan(outcome.ndcg[NAMES[-1]]).any()


def test_the_history_is_the_first_items_and_the_text_the_users_own(
    batch: ClientBatch, split: Split
) -> None:
    asked: list[tuple[int, list[int]]] = []

    def score(clients: ClientBatch) -> Tensor:
        for place, user in enumerate(clients.clients.tolist()):
            assert clients.text[place].item() == user
            own = clients.items[clients.ptr[place] : clients.ptr[place + 1]].tolist()
            asked.append((user, own))
        return torch.zeros(len(clients), clients.n_items)

    evaluate_cold(score, batch, split, chunk=4)
    assert asked == [
        (user, items[:known].tolist())
        for known in COLD_KNOWN
        for user, items in zip(split.cold_users, split.first_items, strict=True)
    ]


def test_a_model_that_knows_the_answer_is_nearly_perfect(batch: ClientBatch, split: Split) -> None:
    """Targets in the right order and known items above them: the known ones do not count."""
    position = torch.full((batch.n_items,), 0.0).repeat(len(batch), 1)
    for user, items in zip(split.cold_users, split.first_items, strict=True):
        position[user, torch.from_numpy(items)] = torch.arange(20.0, 0.0, -1.0)
    outcome = evaluate_cold(lambda clients: position[clients.clients], batch, split)
    np.testing.assert_allclose([outcome.ndcg[name] for name in NAMES], 1.0)


def test_without_cold_users_the_mend_is_named(batch: ClientBatch, split: Split) -> None:
    warm_only = type(split)(**{**vars(split), "cold_users": split.cold_users[:0]})
    with pytest.raises(InputError, match="cold_users"):
        evaluate_cold(random_scores, batch, warm_only)
