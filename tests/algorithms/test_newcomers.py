"""What newcomers are served from: what others began with, the less the more is known of them."""

from dataclasses import replace

import pytest
import torch
from made_shards import made_shard

from ufgraphfr.algorithms._newcomers import SUM, Newcomers
from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.baselines.position_popularity import PositionPopularity
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, State, one_row
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.blend import standardised

ITEMS = 30
SHARD = made_shard([26, 17, 9, 3, 1, 0], ITEMS)
OWN = Newcomers(latest=3, width=2, prior=4)
MODEL = UFGraphFormer(dim=8, hidden=8, history=5, graph={"rounds": 1}, newcomers=OWN)
SETTING = Setting(ITEMS, len(SHARD), SHARD.text.shape[1], 0)


def collected(model: UFGraphFormer) -> State:
    state = model.init_server(SETTING)
    update, _ = model.local(model.broadcast(state, SHARD.clients, 1), SHARD, {}, Key(0, 1))
    sums = one_row(update.arrays)
    return model.aggregate(state, Report(1, SHARD.clients, sums, Aggregation.SUM, update.loss))


def test_without_any_history_the_ranking_is_position_popularity() -> None:
    state, nobody = collected(MODEL), SHARD.until(torch.zeros(len(SHARD), dtype=torch.int64))
    yardstick = PositionPopularity(window=2, latest=3)
    expected = yardstick.score(yardstick.fit(SHARD), nobody)
    found = MODEL.score(MODEL.evaluated(state, SHARD.clients, 2), nobody, {})
    assert int(expected[0].max()) > 1
    for own, counts in zip(found, expected, strict=True):
        # the order is that of the counts, and alike where they are
        assert torch.equal(own.argsort(stable=True), counts.argsort(stable=True))


@pytest.mark.parametrize("known", [1, 2, 3])
def test_the_own_items_weigh_the_more_the_more_there_are(known: int) -> None:
    state, some = collected(MODEL), SHARD.until(torch.full((len(SHARD),), known))
    some = some.select((some.counts == known).nonzero()[:, 0])
    task = MODEL.evaluated(state, some.clients, 2)
    alone = UFGraphFormer(**MODEL.model_dump() | {"newcomers": False})
    parts = MODEL.parts(task, some, {})
    torch.testing.assert_close(parts[:-1], alone.parts(task, some, {}) * known / (known + 4))
    others = standardised((state[SUM][known] + 0.5).log()) * 4 / (known + 4)
    torch.testing.assert_close(parts[-1], others.expand(len(some), -1))


def test_whoever_has_more_is_served_from_the_own_items_alone() -> None:
    state, many = collected(MODEL), SHARD.until(torch.full((len(SHARD),), 4))
    many = many.select((many.counts == 4).nonzero()[:, 0])
    task = MODEL.evaluated(state, many.clients, 2)
    alone = UFGraphFormer(**MODEL.model_dump() | {"newcomers": False})
    short = replace(task, shared=task.shared | {"blend": task.shared["blend"][:-1]})
    assert torch.equal(MODEL.score(task, many, {}), alone.score(short, many, {}))


def test_a_contribution_is_one_history() -> None:
    def told(shard: ClientBatch, place: int) -> torch.Tensor:
        return OWN.contribution(shard.select(torch.tensor([place])))

    for place in range(len(SHARD)):
        assert OWN.is_feasible(told(SHARD, place))
    honest = told(SHARD, 0).view(OWN.places, ITEMS)
    late = honest.clone()
    late[0] = 0
    twice = honest.clone()
    twice[1, (int(honest[1].argmax()) + 1) % ITEMS] = 1
    for forged in (late, twice, 2 * honest):
        assert not OWN.is_feasible(forged.flatten())
    report = Report(1, SHARD.clients[:1], {}, Aggregation.SUM, torch.zeros(1))
    update, _ = MODEL.local(
        MODEL.broadcast(MODEL.init_server(SETTING), SHARD.clients[:1], 1),
        SHARD.select(torch.tensor([0])),
        {},
        Key(0, 1),
    )
    assert MODEL.is_feasible(replace(report, arrays=one_row(update.arrays)), SETTING)
    forged = dict(update.arrays) | {SUM: late.flatten()}
    assert not MODEL.is_feasible(replace(report, arrays=one_row(forged)), SETTING)


def test_rows_of_a_contribution_are_told_by_item() -> None:
    arrays = {SUM: OWN.contribution(SHARD)[None], "graph.pairs": torch.zeros(1, 465)}
    arrays["graph.near"] = arrays["graph.pairs"]
    views = MODEL.item_views(arrays, SETTING, 1)
    assert views[SUM].shape == (1, ITEMS, OWN.places)
    assert torch.equal(views[SUM][0].T.flatten(), arrays[SUM][0])
