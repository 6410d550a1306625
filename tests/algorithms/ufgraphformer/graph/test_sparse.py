"""The sparse graph with room for everything against the dense one, and a federation on it."""

import pytest
import torch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.graph.contribution import Block
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch

SMALL = {"dim": 8, "hidden": 8, "history": 20}
SPARSE = {"rounds": 3, "dense_items": 1, "neighbors": 24}


def collected(model: UFGraphFormer, batch: ClientBatch, ordered: bool = True) -> State:
    setting = Setting(batch.n_items, len(batch), batch.text.shape[1], 0, sequential=ordered)
    state = model.init_server(setting)
    for number in range(1, model.graph.rounds + 1):
        block = Block(model.graph, batch.n_items, number)
        # two silos
        parts = [
            block.contribution(batch.select(half), ordered)
            for half in torch.arange(len(batch)).split(10)
        ]
        sums = {name: sum(part[name].int() for part in parts) for name in parts[0]}
        state = model.item_graph.collect(state, sums, number)
    return state


@pytest.mark.parametrize("ordered", [True, False])
def test_with_room_for_everything_it_is_the_dense_graph(
    checkerboard: ClientBatch, ordered: bool
) -> None:
    sparse = UFGraphFormer(**SMALL, graph=SPARSE)
    dense = UFGraphFormer(**SMALL, graph={"rounds": 3})
    one, other = (collected(model, checkerboard, ordered) for model in (sparse, dense))
    torch.testing.assert_close(one["graph.counts"], other["graph.counts"])
    setting = Setting(24, 24, 8, 0, sequential=ordered)
    mine, theirs = (
        dict(
            zip(
                model.item_graph.names(setting),
                model.item_graph.scores(model.item_graph.shared(state), checkerboard),
                strict=True,
            )
        )
        for model, state in ((sparse, one), (dense, other))
    )
    assert theirs.keys() - mine.keys() == ({"ridge 1", "ridge 0.8"} if ordered else {"ridge 1"})
    assert ("next 0.8" in mine) == ordered
    for name, scores in mine.items():
        torch.testing.assert_close(scores, theirs[name], atol=1e-4, rtol=1e-4)
        assert scores.abs().sum() > 0


def test_with_all_items_as_candidates_nothing_changes(checkerboard: ClientBatch) -> None:
    sent = []
    for candidates in (None, checkerboard.n_items):
        graph = SPARSE | {"neighbors": 6}
        model = UFGraphFormer(**SMALL, graph=graph, training={"candidates": candidates})
        state = collected(model, checkerboard)
        task = model.broadcast(state, checkerboard.clients, 4)
        sent.append(model.local(task, checkerboard, {}, Key(0, round=4))[0].arrays["gradient"])
    torch.testing.assert_close(sent[0], sent[1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("candidates", [None, 8])
def test_a_federation_learns_the_board(
    checkerboard: ClientBatch, federation_of, candidates: int | None
) -> None:
    graph = SPARSE | {"neighbors": 8}
    model = UFGraphFormer(**SMALL, graph=graph, training={"candidates": candidates})
    federation = federation_of(model, checkerboard).run(5, chunk=7)
    own = torch.arange(24)
    same = (own[:, None] + own) % 2 == 0
    scores = federation.scores()
    assert scores.isfinite().all()
    assert scores[same].mean() > scores[~same].mean() + 1
    assert federation.state["graph.pairs.cells"].numel() == 0


def test_memory_is_linear_in_the_items() -> None:
    model = UFGraphFormer(**SMALL, graph={"dense_items": 100, "neighbors": 7})
    state = model.item_graph.state(Setting(5000, 10, 8, 0))
    assert sum(value.numel() for value in state.values()) == 5000 * (1 + 4 * 2 * 7 + 64)
