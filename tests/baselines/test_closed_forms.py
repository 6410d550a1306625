"""Each closed form against scikit-learn or a loop that follows the definition."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity

from ufgraphfr.baselines.ease import Ease
from ufgraphfr.baselines.ease_markov import EaseMarkov
from ufgraphfr.baselines.ials import Ials
from ufgraphfr.baselines.itemknn import ItemKNN
from ufgraphfr.baselines.markov import Markov
from ufgraphfr.baselines.popularity import Popularity
from ufgraphfr.baselines.position_popularity import PositionPopularity
from ufgraphfr.data.client_batches import ClientBatch

USERS, ITEMS = 30, 20


@pytest.fixture(scope="module")
def histories() -> list[list[int]]:
    rng = np.random.default_rng(0)
    # nobody has the last item
    return [rng.permutation(ITEMS - 1)[: rng.integers(2, 12)].tolist() for _ in range(USERS)]


@pytest.fixture(scope="module")
def batch(histories: list[list[int]]) -> ClientBatch:
    lengths = torch.tensor([0, *map(len, histories)])
    empty = torch.zeros(USERS + 1, dtype=torch.int64)
    return ClientBatch(
        clients=torch.arange(USERS),
        ptr=lengths.cumsum(0),
        items=torch.tensor([item for own in histories for item in own]),
        excluded_ptr=empty,
        excluded=empty[:0],
        text=torch.empty(USERS, 0),
        n_items=ITEMS,
    )


@pytest.fixture(scope="module")
def binary(histories: list[list[int]]) -> NDArray[np.float64]:
    matrix = np.zeros((USERS, ITEMS))
    for user, own in enumerate(histories):
        matrix[user, own] = 1
    return matrix


def weighted(histories: list[list[int]], decay: float) -> NDArray[np.float64]:
    matrix = np.zeros((USERS, ITEMS))
    for user, own in enumerate(histories):
        for age, item in enumerate(reversed(own)):
            matrix[user, item] = decay**age
    return matrix


def test_popularity_counts_rows(batch: ClientBatch, binary: NDArray[np.float64]) -> None:
    scores = Popularity().score(Popularity().fit(batch), batch)
    np.testing.assert_array_equal(scores.numpy(), np.tile(binary.sum(0), (USERS, 1)))


def test_popularity_is_counted_of_a_million_users_in_a_gigabyte() -> None:
    assert Popularity().estimated_bytes(10**6, 10**5, 5 * 10**7) < 10**9


def test_position_popularity_counts_the_next_positions(
    batch: ClientBatch, histories: list[list[int]]
) -> None:
    baseline = PositionPopularity(window=3, latest=4)
    scores = baseline.score(baseline.fit(batch), batch)
    for user, own in enumerate(histories):
        first = min(len(own), 4)
        expected = np.zeros(ITEMS)
        for other in histories:
            expected[other[first : first + 3]] += 1
        np.testing.assert_array_equal(scores[user].numpy(), expected)


def test_ease_is_scikit_learns_ridge_of_each_item_on_all_others(
    batch: ClientBatch, binary: NDArray[np.float64], histories: list[list[int]]
) -> None:
    baseline = Ease(ridge=3.0, decay=0.7)
    fitted = baseline.fit(batch)
    for item in range(ITEMS):
        others = np.delete(np.arange(ITEMS), item)
        ridge = Ridge(alpha=3.0, fit_intercept=False).fit(binary[:, others], binary[:, item])
        np.testing.assert_allclose(fitted["operator"][others, item], ridge.coef_, atol=1e-6)
        assert fitted["operator"][item, item] == 0
    expected = weighted(histories, 0.7) @ fitted["operator"].numpy()
    np.testing.assert_allclose(baseline.score(fitted, batch), expected, rtol=1e-4, atol=1e-6)


def test_itemknn_is_scikit_learns_cosine_among_nearest_neighbours(
    batch: ClientBatch, binary: NDArray[np.float64], histories: list[list[int]]
) -> None:
    similar = cosine_similarity(binary.T)
    np.fill_diagonal(similar, 0)
    everything = ItemKNN(neighbors=1000, shrink=0.0, decay=0.9)
    expected = weighted(histories, 0.9) @ similar
    scores = everything.score(everything.fit(batch), batch)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
    operator = ItemKNN(neighbors=4, shrink=0.0).fit(batch)["operator"].numpy()
    for item in range(ITEMS - 1):
        kept = np.flatnonzero(operator[:, item])
        assert len(kept) == 4
        np.testing.assert_allclose(operator[kept, item], similar[kept, item], rtol=1e-5)
        nearest = np.sort(similar[:, item])[-4:]
        np.testing.assert_allclose(np.sort(operator[kept, item]), nearest, rtol=1e-5)


def test_shrink_lowers_rare_similarities_most(
    batch: ClientBatch, binary: NDArray[np.float64]
) -> None:
    count = binary.sum(0)
    together = binary.T @ binary
    operator = ItemKNN(neighbors=1000, shrink=20.0).fit(batch)["operator"].numpy()
    assert operator[2, 5] == pytest.approx(
        together[2, 5] / (np.sqrt(count[2] * count[5]) + 20), rel=1e-5
    )


def test_markov_follows_the_definition(
    batch: ClientBatch, binary: NDArray[np.float64], histories: list[list[int]]
) -> None:
    transitions = np.zeros((ITEMS, ITEMS))
    for own in histories:
        for place, before in enumerate(own):
            for gap, after in enumerate(own[place + 1 : place + 4], start=1):
                transitions[before, after] += 1 / gap
    count = binary.sum(0)
    expected = transitions / (np.sqrt(np.outer(count, count)) + 5)
    baseline = Markov(gaps=3, shrink=5.0, decay=0.8)
    fitted = baseline.fit(batch)
    np.testing.assert_allclose(fitted["operator"], expected, rtol=1e-5)
    scores = baseline.score(fitted, batch)
    np.testing.assert_allclose(scores, weighted(histories, 0.8) @ expected, rtol=1e-4)


def test_without_shrink_an_item_nobody_has_scores_zero(batch: ClientBatch) -> None:
    for baseline in (Markov(shrink=0.0), ItemKNN(shrink=0.0)):
        scores = baseline.score(baseline.fit(batch), batch)
        assert torch.equal(scores[:, -1], torch.zeros(USERS))


def test_ease_markov_adds_z_scores(batch: ClientBatch) -> None:
    both = EaseMarkov(weight=0.5, ease=Ease(ridge=3.0), markov=Markov(shrink=5.0))
    parts = [part.score(part.fit(batch), batch).numpy() for part in (both.ease, both.markov)]
    ease, markov = ((s - s.mean(1)[:, None]) / s.std(1, ddof=1)[:, None] for s in parts)
    scores = both.score(both.fit(batch), batch)
    np.testing.assert_allclose(scores, ease + 0.5 * markov, rtol=1e-3, atol=1e-4)


def ials_loss(
    model: Ials, binary: NDArray[np.float64], clients: torch.Tensor, items: torch.Tensor
) -> torch.Tensor:
    """The definition, pair by pair."""
    seen = torch.from_numpy(binary)
    products = clients @ items.T
    loss = (seen * (products - 1) ** 2).sum() + model.unobserved * (products**2).sum()
    for factors, counts, others in ((clients, seen.sum(1), ITEMS), (items, seen.sum(0), USERS)):
        scale = (counts + model.unobserved * others) ** model.power
        loss = loss + model.reg * (scale * (factors**2).sum(1)).sum()
    return loss


@pytest.mark.parametrize("power", [1.0, 0.0, 0.5])
def test_ials_ends_where_its_loss_has_no_slope(
    batch: ClientBatch, binary: NDArray[np.float64], power: float
) -> None:
    model = Ials(dim=3, epochs=400, unobserved=0.2, reg=0.05, power=power, decay=1.0)
    items = model.fit(batch)["items"].requires_grad_()
    ones = torch.ones(len(batch.items), dtype=torch.float64)
    clients = model._solved(batch.ptr, batch.items, ones, items.detach()).requires_grad_()
    ials_loss(model, binary, clients, items).backward()
    for factors in (clients, items):
        assert factors.grad is not None
        assert float(factors.grad.abs().max()) < 1e-4
        assert float(factors.detach().abs().max()) > 0.1


def test_ials_folds_a_client_in_by_least_squares(
    batch: ClientBatch, histories: list[list[int]]
) -> None:
    model = Ials(dim=4, unobserved=0.3, reg=0.02, decay=0.7)
    fitted = model.fit(batch)
    items = fitted["items"].numpy()
    scores = model.score(fitted, batch).numpy()
    for user, own in enumerate(histories):
        weights = 0.7 ** np.arange(len(own))[::-1]
        seen = items[own]
        gram = 0.3 * items.T @ items + (seen.T * weights) @ seen
        gram += 0.02 * (weights.sum() + 0.3 * ITEMS) * np.eye(4)
        client = np.linalg.solve(gram, (seen.T * weights).sum(1))
        np.testing.assert_allclose(scores[user], items @ client, rtol=1e-4, atol=1e-6)


def test_ials_solves_the_same_in_small_batches(
    batch: ClientBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Ials(dim=4).fit(batch)["items"]
    monkeypatch.setattr("ufgraphfr.baselines.ials._CHUNK", 100)
    torch.testing.assert_close(Ials(dim=4).fit(batch)["items"], whole)
