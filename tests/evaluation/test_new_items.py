"""New items: who is asked with which input, and NDCG@10 of all targets against scikit-learn."""

import numpy as np
import pytest
import torch
from made_data import made_data
from sklearn.metrics import ndcg_score
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.split import Split, leave_one_out
from ufgraphfr.evaluation.kept_out import evaluate_new_items

USERS, ITEMS = 50, 200


@pytest.fixture(scope="module")
def split() -> Split:
    """50 users with 3 to 40 of 200 items each; a fifth of the items is new, some users are cold."""
    return leave_one_out(made_data(USERS, ITEMS, 3), cold_users=0.2, cold_items=0.2)


@pytest.fixture(scope="module")
def batch(split: Split) -> ClientBatch:
    return build(split, torch.zeros(USERS, 1))


def random_scores(clients: ClientBatch) -> Tensor:
    """The same for a client in any chunk, without ties."""
    rows = [np.random.default_rng(client).normal(size=ITEMS) for client in clients.clients.tolist()]
    return torch.from_numpy(np.stack(rows))


def taken(split: Split, user: int) -> list[int]:
    found: list[int] = split.cold_item_history[
        split.cold_item_ptr[user] : split.cold_item_ptr[user + 1]
    ].tolist()
    return found


def test_agrees_with_scikit_learn(batch: ClientBatch, split: Split) -> None:
    outcome = evaluate_new_items(random_scores, batch, split, chunk=7)
    assert outcome.users.tolist() == [u for u in split.asked("test").tolist() if taken(split, u)]
    assert 20 < len(outcome.users) < 45
    for user, found in zip(outcome.users.tolist(), outcome.ndcg["ndcg@10"], strict=True):
        scores = random_scores(batch.select(torch.tensor([user])))[0, split.cold_items].numpy()
        relevant = np.isin(split.cold_items, taken(split, user))
        assert found == pytest.approx(ndcg_score([relevant], [scores], k=10))
    assert outcome.metrics["ndcg@10"] == pytest.approx(outcome.ndcg["ndcg@10"].mean())


def test_the_input_is_that_of_the_test(batch: ClientBatch, split: Split) -> None:
    def score(clients: ClientBatch) -> Tensor:
        for place, user in enumerate(clients.clients.tolist()):
            own = clients.items[clients.ptr[place] : clients.ptr[place + 1]].tolist()
            trained = split.train[split.ptr[user] : split.ptr[user + 1]].tolist()
            assert own == [*trained, split.validation[user]]
        return torch.zeros(len(clients), clients.n_items)

    evaluate_new_items(score, batch, split, chunk=4)


def test_who_knows_the_answer_is_perfect_and_old_items_do_not_count(
    batch: ClientBatch, split: Split
) -> None:
    def score(clients: ClientBatch) -> Tensor:
        scores = torch.ones(len(clients), ITEMS)
        scores[:, split.cold_items] = 0
        for place, user in enumerate(clients.clients.tolist()):
            own = taken(split, user)
            scores[place, own] = torch.arange(1, len(own) + 1) / 1000
        return scores

    outcome = evaluate_new_items(score, batch, split)
    np.testing.assert_allclose(outcome.ndcg["ndcg@10"], 1.0)


def test_chance_is_what_random_scores_reach(batch: ClientBatch, split: Split) -> None:
    outcome = evaluate_new_items(random_scores, batch, split)
    assert outcome.ndcg["ndcg@10 of chance"].mean() == pytest.approx(
        outcome.ndcg["ndcg@10"].mean(), abs=0.08
    )
    again = evaluate_new_items(lambda c: torch.zeros(len(c), ITEMS), batch, split, chunk=3)
    np.testing.assert_array_equal(
        outcome.ndcg["ndcg@10 of chance"], again.ndcg["ndcg@10 of chance"]
    )
    assert (again.ndcg["ndcg@10"] == 0).all(), "a constant is in the middle, beyond the tenth place"


def test_without_new_items_the_mend_is_named(batch: ClientBatch, split: Split) -> None:
    nothing = type(split)(**{**vars(split), "cold_item_ptr": np.zeros_like(split.cold_item_ptr)})
    with pytest.raises(InputError, match="cold_items"):
        evaluate_new_items(random_scores, batch, nothing)
