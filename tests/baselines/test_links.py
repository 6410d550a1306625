"""Operators by their links score what dense ones do, in memory that the square does not enter."""

import pytest
import torch

from ufgraphfr.baselines import _links
from ufgraphfr.baselines.base import Baseline, memory_budget
from ufgraphfr.baselines.ease import Ease
from ufgraphfr.baselines.ease_markov import EaseMarkov
from ufgraphfr.baselines.itemknn import ItemKNN
from ufgraphfr.baselines.markov import Markov
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.ops import link_rows

USERS, ITEMS = 120, 60
LINKED = [ItemKNN(neighbors=1000, shrink=0.0), Markov(), EaseMarkov()]


@pytest.fixture(scope="module")
def batch() -> ClientBatch:
    source = Synthetic(users=USERS, items=ITEMS, groups=4, interactions=13, noise=0.3)
    return build(leave_one_out(source.load().interactions), torch.empty(USERS, 0))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No operator is dense; few pairs at a time, one long history's own."""
    monkeypatch.setattr(_links, "DENSE_BYTES", 500)
    monkeypatch.setattr(link_rows, "AT_ONCE", 9)


@pytest.mark.parametrize("baseline", LINKED, ids=str)
def test_links_score_what_the_dense_operator_does(
    batch: ClientBatch, baseline: Baseline, request: pytest.FixtureRequest
) -> None:
    dense = baseline.score(baseline.fit(batch), batch)
    request.getfixturevalue("small_blocks")
    fitted = baseline.fit(batch)
    assert any(name.endswith(".index") for name in fitted)
    torch.testing.assert_close(baseline.score(fitted, batch), dense)


def test_the_nearest_are_as_near_as_among_all(
    batch: ClientBatch, request: pytest.FixtureRequest
) -> None:
    # which of equally near ones is kept may differ
    dense = ItemKNN(neighbors=7).fit(batch)["operator"]
    request.getfixturevalue("small_blocks")
    fitted = ItemKNN(neighbors=7).fit(batch)
    linked = torch.zeros(ITEMS, ITEMS)
    row = torch.repeat_interleave(fitted["operator.ptr"].diff())
    linked[row, fitted["operator.index"].long()] = fitted["operator.values"]
    torch.testing.assert_close(linked.sort(0).values, dense.sort(0).values)


@pytest.mark.usefixtures("small_blocks")
def test_a_client_scored_alone_has_the_same_scores(batch: ClientBatch) -> None:
    fitted = Markov().fit(batch)
    together = Markov().score(fitted, batch)
    alone = [Markov().score(fitted, batch.select(torch.tensor([user]))) for user in range(USERS)]
    assert torch.equal(torch.cat(alone), together)


@pytest.mark.parametrize("baseline", [ItemKNN(), Markov()], ids=lambda each: type(each).__name__)
def test_many_items_cost_no_square(baseline: Baseline) -> None:
    items = 200_000
    history = torch.arange(40) * 1_000
    batch = ClientBatch(
        clients=torch.arange(4),
        ptr=torch.tensor([0, 10, 20, 30, 40]),
        items=history,
        excluded_ptr=torch.zeros(5, dtype=torch.int64),
        excluded=history[:0],
        text=torch.empty(4, 0),
        n_items=items,
    )
    fitted = baseline.fit(batch)
    assert sum(value.nbytes for value in fitted.values()) < 10 * items
    assert baseline.score(fitted, batch)[0].count_nonzero() > 5
    assert baseline.estimated_bytes(4, items, 40) < 4 * items**2 / 10


def test_ease_is_refused_before_its_cost(batch: ClientBatch) -> None:
    large = ClientBatch(**{**vars(batch), "n_items": 40_981})
    for baseline in (Ease(), EaseMarkov()):
        with pytest.raises(
            InputError, match=r"47,[0-9]{3},[0-9]{3},[0-9]{3} bytes .* 40,981 items"
        ):
            baseline.fit(large)


def test_the_budget_is_a_quarter_of_the_memory_and_never_above_2_gb(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages = {"SC_PHYS_PAGES": 1_000_000, "SC_PAGE_SIZE": 4_000}
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    assert memory_budget() == 10**9
    pages["SC_PHYS_PAGES"] = 10**9
    assert memory_budget() == 2 * 10**9
