"""`closed-forms`: the flagship's operators made at once, and what is left out where."""

import logging

import pytest
import torch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer.graph.config import GraphSpec
from ufgraphfr.algorithms.ufgraphformer.graph.part import ItemGraph
from ufgraphfr.baselines import closed_forms
from ufgraphfr.baselines.base import Fused
from ufgraphfr.baselines.closed_forms import ClosedForms
from ufgraphfr.baselines.ease import Ease
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops import fusion
from ufgraphfr.ops.fusion import squashed
from ufgraphfr.testing import BASELINE_CONTRACTS

USERS, ITEMS = 40, 30
SPARSE = GraphSpec(dense_items=10, neighbors=7)
GRAPH_ALONE = {"ease": False, "markov": False, "ials": False, "itemknn": False}


def made(ordered: bool = True) -> ClientBatch:
    generator = torch.Generator().manual_seed(0)
    own = [torch.randperm(ITEMS, generator=generator)[: 3 + user % 9] for user in range(USERS)]
    ptr = torch.tensor([0, *map(len, own)]).cumsum(0)
    nothing = torch.zeros(USERS + 1, dtype=torch.int64)
    text = torch.empty(USERS, 0)
    return ClientBatch(
        torch.arange(USERS), ptr, torch.cat(own), nothing, nothing[:0], text, ITEMS, ordered
    )


def collected(spec: GraphSpec, batch: ClientBatch) -> State:
    """As a federation does: a block a round, client by client."""
    graph, setting = ItemGraph(spec), Setting(ITEMS, USERS, 0, 0, sequential=batch.ordered)
    state = graph.state(setting)
    ordered = torch.tensor(batch.ordered)
    for number in range(1, spec.rounds + 1):
        sums: State = {}
        for client in batch.clients:
            task = Task(number, client[None], {"ordered": ordered}, {})
            update = graph.contribution(task, batch.select(client[None]), Key(0))
            assert update is not None
            for name, value in update.arrays.items():
                assert isinstance(value, torch.Tensor)
                own = value.float()
                sums[name] = sums[name] + own if name in sums else own
        state = graph.collect(state, sums, number)
    return graph.shared(state)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("graph", [GraphSpec(), SPARSE], ids=["dense", "sparse"])
@pytest.mark.parametrize("block_bytes", [2**26, 4 * ITEMS**2 // 3], ids=["whole", "blocks"])
def test_its_graph_is_the_flagships(
    graph: GraphSpec, ordered: bool, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closed_forms, "_BLOCK_BYTES", block_bytes)
    batch = made(ordered)
    fitted = ClosedForms(graph=graph, **GRAPH_ALONE).fit(batch)
    expected = collected(graph, batch)
    assert fitted.keys() == expected.keys() | {"blend"}
    scores = ItemGraph(graph).scores(expected, batch)
    found = ClosedForms(graph=graph, **GRAPH_ALONE).parts(fitted, batch)
    torch.testing.assert_close(found, squashed(scores), rtol=1e-3, atol=1e-4)


def test_the_tails_it_was_fitted_with_are_those_it_scores_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch, scored = made(), list[torch.Tensor]()
    expected = collected(GraphSpec(), batch)
    for squash in (None, "root", "log"):
        fitted = ClosedForms(squash=squash, **GRAPH_ALONE).fit(batch)
        scored.append(ClosedForms(**GRAPH_ALONE).parts(fitted, batch))
    monkeypatch.setattr(fusion, "ROOT_FROM", ITEMS - 1)
    scored.append(ClosedForms(**GRAPH_ALONE).parts(ClosedForms(**GRAPH_ALONE).fit(batch), batch))
    parts = ItemGraph(GraphSpec()).scores(expected, batch)
    for found, squash in zip(scored, ("log", "root", "log", "root"), strict=True):
        wanted = squashed(parts, squash=squash)
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("graph", [GraphSpec(), SPARSE], ids=["dense", "sparse"])
@pytest.mark.parametrize("contract", BASELINE_CONTRACTS, ids=lambda each: each.__name__)
def test_contract(contract, graph: GraphSpec) -> None:
    contract(ClosedForms(graph=graph))


def test_scores_are_the_weighted_parts_and_every_part_has_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, batch = ClosedForms(), made()
    assert isinstance(model, Fused)
    fitted = model.fit(batch)
    names = model.part_names(fitted)
    assert names[:2] == ("popularity", "low-pass")
    assert names[-4:] == ("ease", "ials", "itemknn", "markov")
    weights = torch.arange(float(len(names)))
    expected = torch.einsum("p,pci->ci", weights, model.parts(fitted, batch))
    monkeypatch.setattr(closed_forms, "_SCORE_BYTES", 4 * len(names) * ITEMS * 3)
    torch.testing.assert_close(model.score(fitted | {"blend": weights}, batch), expected)


def test_large_catalogues_have_no_ease_and_are_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = ClosedForms(graph=SPARSE)
    names = model.part_names(model.fit(made()))
    assert "ease" not in names
    assert not any(name.startswith("ridge") for name in names)
    assert "ease is left out: above 10 items its inverse is too large" in caplog.text


def test_without_order_there_is_no_markov_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = "markov is left out: histories have no order"
    with caplog.at_level(logging.INFO):
        ClosedForms().fit(made(ordered=True))
        ClosedForms(markov=False).fit(made(ordered=False))
        assert said not in caplog.text
        ClosedForms().fit(made(ordered=False))
    assert said in caplog.text


def test_what_does_not_fit_the_memory_is_left_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    model, size = ClosedForms(), (USERS, ITEMS, int(made().ptr[-1]))
    room = Ease().estimated_bytes(*size)
    monkeypatch.setattr(closed_forms, "memory_budget", lambda: model.estimated_bytes(*size) + room)
    names = model.part_names(model.fit(made()))
    assert "ease" in names
    assert "ials" not in names
    assert "ials is left out: it needs about" in caplog.text


def test_without_order_nothing_depends_on_it() -> None:
    batch = made(ordered=False)
    back = torch.cat([own.flip(0) for own in batch.items.split(batch.counts.tolist())])
    other = batch.with_history(batch.ptr, back)
    model = ClosedForms()
    one, two = model.fit(batch), model.fit(other)
    assert not {"markov", "step 0"} & set(model.part_names(one))
    # sums in another order differ in the last digits
    there = model.score(two, other)
    torch.testing.assert_close(model.score(one, batch), there, rtol=1e-3, atol=1e-4)


def test_memory_is_the_square_of_the_items_only_where_it_is_dense() -> None:
    model = ClosedForms()
    assert model.estimated_bytes(1_000, 5_000, 10_000) >= 40 * 5_000**2
    assert model.estimated_bytes(1_000, 200_000, 10_000) < 200_000**2
