"""New users: the history they are given, and NDCG@10 of ten targets against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.split import COLD_KNOWN, Split
from ufgraphfr.evaluation.kept_out import evaluate_cold, evaluate_cold_all

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
