"""The sparse graph with room for everything against the dense one, and a federation on it."""

import pytest
import torch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch

SMALL = {"dim": 8, "hidden": 8, "history": 20}
SPARSE = {"rounds": 3, "dense_items": 1, "neighbors": 24, "buckets": 24}


def collected(model: UFGraphFormer, batch: ClientBatch) -> State:
    state = model.init_server(Setting(batch.n_items, len(batch), batch.text.shape[1], 0))
    graph = model.item_graph
    for number in range(1, model.graph.rounds + 1):
        # two silos
        parts = [
            graph.form(batch.n_items).contribution(batch.select(half), number)
            for half in torch.arange(len(batch)).split(10)
        ]
        sums = {name: sum(part[name].int() for part in parts) for name in parts[0]}
        state = graph.collect(state, sums, number)
    return state


def test_with_room_for_everything_near_is_the_dense_one(checkerboard: ClientBatch) -> None:
    sparse = UFGraphFormer(**SMALL, graph=SPARSE)
    dense = UFGraphFormer(**SMALL, graph={"rounds": 3})
    one, other = collected(sparse, checkerboard), collected(dense, checkerboard)
    torch.testing.assert_close(one["graph.counts"], other["graph.counts"])
    mine = sparse.item_graph.scores(one, checkerboard)
    theirs = dense.item_graph.scores(other, checkerboard)
    torch.testing.assert_close(mine[1], theirs[1])
    assert not mine[0].any()


def test_a_contribution_is_whole_and_of_fixed_size(checkerboard: ClientBatch) -> None:
    model = UFGraphFormer(**SMALL, graph=SPARSE | {"buckets": 4})
    one = model.item_graph.form(24).contribution(checkerboard.select(torch.tensor([2])), 1)
    assert {name: value.shape for name, value in one.items()} == {
        "graph.counts": (8,),
        "graph.sketch": (8 * 4,),
    }
    assert {value.dtype for value in one.values()} == {torch.uint8}
    for name, value in one.items():
        assert 0 < int(value.max()) <= model.integer_bounds[name]


def test_with_all_items_as_candidates_nothing_changes(checkerboard: ClientBatch) -> None:
    sent = []
    for candidates in (None, checkerboard.n_items):
        graph = SPARSE | {"neighbors": 6, "buckets": 8}
        model = UFGraphFormer(**SMALL, graph=graph, training={"candidates": candidates})
        state = collected(model, checkerboard)
        task = model.broadcast(state, checkerboard.clients, 4)
        sent.append(model.local(task, checkerboard, {}, Key(0, round=4))[0].arrays["gradient"])
    torch.testing.assert_close(sent[0], sent[1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("candidates", [None, 8])
def test_a_federation_learns_the_board(
    checkerboard: ClientBatch, federation_of, candidates: int | None
) -> None:
    graph = SPARSE | {"neighbors": 8, "buckets": 12}
    model = UFGraphFormer(**SMALL, graph=graph, training={"candidates": candidates})
    federation = federation_of(model, checkerboard).run(5, chunk=7)
    own = torch.arange(24)
    same = (own[:, None] + own) % 2 == 0
    scores = federation.scores()
    assert scores.isfinite().all()
    assert scores[same].mean() > scores[~same].mean() + 1
    assert federation.state["graph.sketch"].numel() == 0


def test_memory_is_linear_in_the_items() -> None:
    model = UFGraphFormer(**SMALL, graph={"dense_items": 100, "neighbors": 7, "buckets": 16})
    size = sum(value.numel() for value in model.item_graph.form(5000).empty(5000).values())
    assert size == 5000 * (1 + 16 + 2 * 7 + model.graph.rank)
