"""What cold users are served from: what others have, the less the more is known of them."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from made_batches import made_batch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS
from ufgraphfr.algorithms.ufgraphformer.graph.profile import lift
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_users import SUM, ColdUsers, ColdUsersSpec
from ufgraphfr.baselines.position_popularity import PositionPopularity
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, State, Task, one_row
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.blend import standardised

ITEMS = 30
BATCH = made_batch([26, 17, 9, 3, 1, 0], ITEMS)
SPEC = ColdUsersSpec(basis="began", latest=3, width=2, prior=4)
PART = ColdUsers(SPEC)
MODEL = UFGraphFormer(
    dim=8, hidden=8, history=5, graph={"rounds": 1}, profile=False, cold_users=SPEC
)
SETTING = Setting(ITEMS, len(BATCH), BATCH.text.shape[1], 0)


def collected(model: UFGraphFormer, setting: Setting = SETTING) -> State:
    state = model.init_server(setting)
    update, _ = model.local(model.broadcast(state, BATCH.clients, 1), BATCH, {}, Key(0, 1))
    sums = one_row(update.arrays)
    return model.aggregate(state, Report(1, BATCH.clients, sums, Aggregation.SUM, update.loss))


def oldest(count: int) -> ClientBatch:
    """Everybody with the first ``count`` items of the own history."""
    own = [BATCH.items[first:end][:count] for first, end in pairwise(BATCH.ptr.tolist())]
    ptr = torch.tensor([0, *map(len, own)]).cumsum(0)
    return BATCH.with_history(ptr, torch.cat(own))


def test_without_any_history_the_ranking_is_position_popularity() -> None:
    state, nobody = collected(MODEL), oldest(0)
    baseline = PositionPopularity(window=2, latest=3)
    expected = baseline.score(baseline.fit(BATCH), nobody)
    found = MODEL.score(MODEL.scoring_task(state, BATCH.clients, 2), nobody, {})
    assert int(expected[0].max()) > 1
    for own, counts in zip(found, expected, strict=True):
        # the order is that of the counts, and alike where they are
        assert torch.equal(own.argsort(stable=True), counts.argsort(stable=True))


def test_where_order_means_nothing_it_is_popularity() -> None:
    state, nobody = collected(MODEL, replace(SETTING, sequential=False)), oldest(0)
    expected = torch.bincount(BATCH.items, minlength=ITEMS)
    found = MODEL.score(MODEL.scoring_task(state, BATCH.clients, 2), nobody, {})
    assert int(expected.max()) > 1
    for own in found:
        assert torch.equal(own.argsort(stable=True), expected.argsort(stable=True))


def test_all_that_others_have_is_the_basis_unless_it_is_to_be_what_they_began_with() -> None:
    popular = UFGraphFormer(**MODEL.model_dump() | {"cold_users": {"latest": 3}})
    state, nobody = collected(popular), oldest(0)
    assert state[SUM].numel() == 0, "no position is told"
    expected = torch.bincount(BATCH.items, minlength=ITEMS)
    began = PositionPopularity(window=2, latest=3)
    assert not torch.equal(expected, began.score(began.fit(BATCH), nobody)[0])
    found = popular.score(popular.scoring_task(state, BATCH.clients, 2), nobody, {})
    for own in found:
        assert torch.equal(own.argsort(stable=True), expected.argsort(stable=True))


def test_what_the_profile_says_is_added_to_the_logarithms() -> None:
    model = UFGraphFormer(**MODEL.model_dump() | {"profile": {}})
    state, nobody = collected(model), oldest(0)
    task = model.scoring_task(state, BATCH.clients, 2)
    said = lift(task.shared, nobody)
    assert said.abs().max() > 0.1
    expected = standardised((state[SUM][0] + 0.5).log() + said)
    torch.testing.assert_close(model.score(task, nobody, {}), expected)


@pytest.mark.parametrize("known", [1, 2, 3])
def test_the_own_items_weigh_the_more_the_more_there_are(known: int) -> None:
    state, some = collected(MODEL), oldest(known)
    some = some.select((some.counts == known).nonzero()[:, 0])
    task = MODEL.scoring_task(state, some.clients, 2)
    alone = UFGraphFormer(**MODEL.model_dump() | {"cold_users": False})
    fused = replace(task, shared=task.shared | {"blend": task.shared["blend"][:-1]})
    own = standardised(alone.score(fused, some, {})) * known / (known + 4)
    others = standardised((state[SUM][known] + 0.5).log()) * 4 / (known + 4)
    torch.testing.assert_close(MODEL.score(task, some, {}), own + others)


def test_without_a_prior_they_speak_for_those_without_history_alone() -> None:
    state = collected(MODEL)
    blend = state["blend"].clone()
    blend[-1] = 0
    task = MODEL.scoring_task(state | {"blend": blend}, BATCH.clients, 2)
    alone = UFGraphFormer(**MODEL.model_dump() | {"cold_users": False})
    fused = replace(task, shared=task.shared | {"blend": blend[:-1]})
    some = oldest(2)
    found, own = MODEL.score(task, some, {}), alone.score(fused, some, {})
    nobody = some.counts == 0
    torch.testing.assert_close(found[~nobody].argsort(), own[~nobody].argsort())
    assert not torch.equal(found[nobody], own[nobody])


def test_without_order_nobody_tells_first_items() -> None:
    state = MODEL.init_server(replace(SETTING, sequential=False))
    task = MODEL.broadcast(state, BATCH.clients, 1)
    assert SUM not in MODEL.local(task, BATCH, {}, Key(0, 1))[0].arrays
    counts = torch.bincount(BATCH.items, minlength=ITEMS).float()
    ranking = MODEL.scoring_task(state | {COUNTS: counts}, BATCH.clients, 2)
    found = MODEL.score(ranking, oldest(0), {})
    torch.testing.assert_close(found, standardised((counts + 0.5).log()).expand(len(BATCH), -1))


def test_whoever_has_more_is_served_from_the_own_items_alone() -> None:
    state, many = collected(MODEL), oldest(4)
    many = many.select((many.counts == 4).nonzero()[:, 0])
    task = MODEL.scoring_task(state, many.clients, 2)
    alone = UFGraphFormer(**MODEL.model_dump() | {"cold_users": False})
    short = replace(task, shared=task.shared | {"blend": task.shared["blend"][:-1]})
    assert torch.equal(MODEL.score(task, many, {}), alone.score(short, many, {}))


def contribution(batch: ClientBatch) -> torch.Tensor:
    task = Task(1, batch.clients, {"ordered": torch.tensor(True)}, {})
    update = PART.contribution(task, batch, Key(0, 1))
    assert update is not None
    return update.arrays[SUM]


def feasible(sums: torch.Tensor) -> bool:
    return PART.is_feasible({SUM: sums}, SETTING, 1)


def test_a_contribution_is_one_history() -> None:
    def told(batch: ClientBatch, place: int) -> torch.Tensor:
        return contribution(batch.select(torch.tensor([place])))

    for place in range(len(BATCH)):
        assert feasible(told(BATCH, place))
    honest = told(BATCH, 0).view(SPEC.positions, ITEMS)
    late = honest.clone()
    late[0] = 0
    twice = honest.clone()
    twice[1, (int(honest[1].argmax()) + 1) % ITEMS] = 1
    for forged in (late, twice, 2 * honest):
        assert not feasible(forged.flatten())
    report = Report(1, BATCH.clients[:1], {}, Aggregation.SUM, torch.zeros(1))
    update, _ = MODEL.local(
        MODEL.broadcast(MODEL.init_server(SETTING), BATCH.clients[:1], 1),
        BATCH.select(torch.tensor([0])),
        {},
        Key(0, 1),
    )
    assert MODEL.is_feasible(replace(report, arrays=one_row(update.arrays)), SETTING)
    forged = dict(update.arrays) | {SUM: late.flatten()}
    assert not MODEL.is_feasible(replace(report, arrays=one_row(forged)), SETTING)


def test_rows_of_a_contribution_are_told_by_item() -> None:
    arrays = {SUM: contribution(BATCH)[None], "graph.pairs": torch.zeros(1, 465)}
    arrays["graph.cooccurrence"] = arrays["graph.pairs"]
    views = MODEL.item_views(arrays, SETTING, 1)
    assert views[SUM].shape == (1, ITEMS, SPEC.positions)
    assert torch.equal(views[SUM][0].T.flatten(), arrays[SUM][0])
