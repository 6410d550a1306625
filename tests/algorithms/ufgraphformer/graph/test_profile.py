"""What users with like texts have: exact sums over clients, and nothing where texts say nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_batches import made_batch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS
from ufgraphfr.algorithms.ufgraphformer.graph.profile import (
    MAP,
    MOMENTS,
    SUMS,
    Profile,
    ProfileSpec,
    lift,
)
from ufgraphfr.algorithms.ufgraphformer.graph.profile_map import (
    HEAVIEST,
    LEVELS,
    coordinates,
    derived_rank,
    history_weights,
    profile_map,
)
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, State, Task, one_row
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.codec import decode_report, encode_report

ITEMS, CLIENTS, TEXT = 40, 200, 100
PART = Profile(ProfileSpec())


@pytest.fixture(scope="module")
def batch() -> ClientBatch:
    """Two sorts of sentences; those of either sort mostly have items of one half."""
    generator = np.random.default_rng(0)
    sorts = np.arange(CLIENTS) % 2
    centres = generator.normal(size=(2, TEXT))
    text = centres[sorts] + 0.5 * generator.normal(size=(CLIENTS, TEXT))
    chance = np.where(np.arange(ITEMS) < ITEMS // 2, 5.0, 1.0)
    own = [
        generator.choice(ITEMS, 1 + user % 9, replace=False, p=each / each.sum())
        for user, each in enumerate(np.stack((chance, chance[::-1]))[sorts])
    ]
    lengths = [len(each) for each in own]
    made = made_batch(lengths, ITEMS)
    return replace(
        made.with_history(made.ptr, torch.from_numpy(np.concatenate(own))),
        text=torch.from_numpy(text).float(),
    )


def setting_of(batch: ClientBatch) -> Setting:
    return Setting(batch.n_items, len(batch), batch.text.shape[1], 0)


def told(batch: ClientBatch) -> State:
    update = PART.contribution(Task(1, batch.clients, {}, {}), batch, Key(0, 1))
    assert update is not None
    return {name: value.long() for name, value in update.arrays.items()}


def collected(batch: ClientBatch) -> State:
    counts = torch.bincount(batch.items, minlength=batch.n_items).float()
    state = PART.state(setting_of(batch)) | {COUNTS: counts}
    return PART.collect(state, told(batch), 1)


def test_the_sums_are_those_of_a_central_computation(batch: ClientBatch) -> None:
    own = coordinates(batch.text).double()
    assert own.shape == (CLIENTS, 65)
    assert own.min() >= 0
    assert LEVELS // 2 < len(own.unique()) <= own.max() + 1 <= LEVELS + 1
    weights = history_weights(batch.counts.double())
    history = torch.zeros(CLIENTS, ITEMS, dtype=torch.float64)
    history[torch.arange(CLIENTS).repeat_interleave(batch.counts), batch.items] = 1.0
    weighted = history * weights[:, None]
    by_item = torch.cat(
        (weighted.sum(0)[None], (weighted**2).sum(0)[None], own[:, 1:].T @ weighted)
    )
    found = told(batch)
    assert torch.equal(found[MOMENTS].view(65, 65).double(), own.T @ own)
    assert torch.equal(found[SUMS].view(66, ITEMS).double(), by_item)


@pytest.mark.parametrize("chunk", [1, 7])
def test_the_sums_depend_on_neither_chunks_nor_order(batch: ClientBatch, chunk: int) -> None:
    whole = told(batch)
    backwards = torch.arange(CLIENTS).flip(0)
    parts = [told(batch.select(places)) for places in backwards.split(chunk)]
    for name, value in whole.items():
        assert torch.equal(torch.stack([part[name] for part in parts]).sum(0), value)


def test_numbers_stay_within_their_bounds_and_travel_narrow(batch: ClientBatch) -> None:
    one = PART.contribution(
        Task(1, batch.clients[:1], {}, {}), batch.select(torch.tensor([0])), Key(0)
    )
    assert one is not None
    for name, value in one.arrays.items():
        assert value.dtype == torch.int16
        assert int(value.min()) >= 0
        assert int(value.max()) <= PART.integer_bounds[name]
    assert history_weights(torch.tensor([0.0, 1.0, 16.0, 1e6])).tolist() == [0, HEAVIEST, 8, 1]


@pytest.mark.parametrize("clients", [1, 200])
def test_the_sums_travel_whole(batch: ClientBatch, clients: int) -> None:
    some = batch.select(torch.arange(clients))
    update = PART.contribution(Task(1, some.clients, {}, {}), some, Key(0, 1))
    assert update is not None
    sums = one_row(update.arrays)
    report = Report(1, some.clients, sums, Aggregation.SUM, torch.zeros(clients))
    payload = encode_report(report, PART.integer_bounds)
    found = decode_report(payload).sums
    for name, value in report.sums.items():
        assert torch.equal(found[name].long(), value.long())
    if clients == 1:
        # ten bits for each number of an item, twelve for each moment
        assert len(payload) < (66 * ITEMS * 10 + 65 * 65 * 12) / 8 + 1000


def test_the_map_is_least_squares_on_the_directions_shrunk(batch: ClientBatch) -> None:
    """By numpy, from the users' own numbers and not from sums."""
    own = coordinates(batch.text).double().numpy()[:, 1:]
    history = np.zeros((CLIENTS, ITEMS))
    history[np.repeat(np.arange(CLIENTS), batch.counts.numpy()), batch.items.numpy()] = 1
    weighted = history * history_weights(batch.counts.double()).numpy()[:, None]
    centred = own - own.mean(0)
    _, scale, directions = np.linalg.svd(centred, full_matrices=False)
    rank = derived_rank(CLIENTS)
    assert rank == 4
    basis = directions[:rank].T / (scale[:rank] / CLIENTS**0.5)
    links = np.linalg.lstsq(centred @ basis, weighted - weighted.mean(0))[0]
    left, energy, right = np.linalg.svd(links, full_matrices=False)
    said = np.maximum(0, 1 - weighted.var(0).sum() / CLIENTS / energy**2)
    assert said[0] > 0.5
    expected = centred @ basis @ (left * energy * said) @ right / weighted.mean(0)
    found = collected(batch)[MAP]
    torch.testing.assert_close(
        coordinates(batch.text) @ found, torch.from_numpy(expected).float(), atol=1e-4, rtol=1e-3
    )


def test_users_are_told_what_others_with_like_texts_have(batch: ClientBatch) -> None:
    state = collected(batch)
    strangers = batch.with_history(torch.zeros(CLIENTS + 1, dtype=torch.int64), batch.items[:0])
    found = lift(PART.shared(state) | {COUNTS: state[COUNTS]}, strangers)
    assert torch.equal(found, PART.scores(state, strangers)[0]())
    preferred = found[:, : ITEMS // 2].mean(1) - found[:, ITEMS // 2 :].mean(1)
    assert preferred[::2].min() > 0 > preferred[1::2].max()


def test_texts_that_say_nothing_change_nothing(batch: ClientBatch) -> None:
    same = replace(batch, text=batch.text[:1].expand(CLIENTS, -1))
    state = collected(same)
    assert torch.equal(state[MAP], torch.zeros(65, ITEMS))
    assert torch.equal(lift(state, same), torch.zeros(CLIENTS, ITEMS))


def test_texts_that_are_none_of_the_users_own_say_little(batch: ClientBatch) -> None:
    mixed = batch.text[torch.randperm(CLIENTS, generator=torch.Generator().manual_seed(1))]
    state = collected(replace(batch, text=mixed))
    assert lift(state, batch).std() < 0.2 * lift(collected(batch), batch).std()


def test_items_and_directions_that_nobody_has(batch: ClientBatch) -> None:
    none = profile_map(torch.zeros(65, 65), torch.zeros(66, ITEMS), None)
    assert torch.equal(none, torch.zeros(65, ITEMS))
    kept = (batch.items != 3).nonzero()[:, 0]
    owner = torch.arange(CLIENTS).repeat_interleave(batch.counts)[kept]
    ptr = torch.bincount(owner, minlength=CLIENTS).cumsum(0)
    ptr = torch.cat((ptr.new_zeros(1), ptr))
    state = collected(batch.with_history(ptr, batch.items[kept]))
    assert torch.equal(state[MAP][:, 3], torch.zeros(65))
    assert lift(state, batch).isfinite().all()


def test_one_client_can_only_tell_one_text_and_one_history(batch: ClientBatch) -> None:
    nobody = batch.with_history(torch.zeros(CLIENTS + 1, dtype=torch.int64), batch.items[:0])
    setting = setting_of(batch)
    honest = told(batch.select(torch.tensor([8])))
    empty = told(nobody.select(torch.tensor([8])))
    for arrays in (honest, empty):
        assert PART.is_feasible(arrays, setting, 1)
    by_item, moments = honest[SUMS].view(66, ITEMS), honest[MOMENTS].view(65, 65)
    lifted = by_item.clone()
    lifted[5, int(by_item[0].argmax())] += 1
    wide = moments.clone()
    wide[0, 1] += 1
    forged = [
        {SUMS: 2 * honest[SUMS]},
        {SUMS: lifted.flatten()},
        {MOMENTS: wide.flatten()},
        {MOMENTS: 2 * honest[MOMENTS]},
        empty | {SUMS: honest[SUMS]},
        {SUMS: told(batch.select(torch.tensor([7])))[SUMS]},
    ]
    for change in forged:
        assert not PART.is_feasible(honest | change, setting, 1)
        model = UFGraphFormer(dim=8, hidden=8, history=5, graph={"rounds": 1})
        update, _ = model.local(
            Task(1, batch.clients[8:9], {"ordered": torch.tensor(True)}, {}),
            batch.select(torch.tensor([8])),
            {},
            Key(0, 1),
        )
        report = Report(
            1, batch.clients[8:9], one_row(update.arrays), Aggregation.SUM, torch.zeros(1)
        )
        assert model.is_feasible(report, setting)
        arrays = report.arrays | one_row(change)
        assert not model.is_feasible(replace(report, arrays=arrays), setting)


def test_rows_of_a_contribution_are_told_by_item(batch: ClientBatch) -> None:
    arrays = {name: value[None] for name, value in told(batch.select(torch.tensor([8]))).items()}
    views = PART.item_views(arrays, setting_of(batch), 1)
    assert views[SUMS].shape == (1, ITEMS, 66)
    assert torch.equal(views[SUMS][0].T.flatten(), arrays[SUMS][0])
    assert views[MOMENTS].shape == (1, 1, 65 * 65)


def test_it_is_told_once(batch: ClientBatch) -> None:
    assert PART.contribution(Task(2, batch.clients, {}, {}), batch, Key(0, 2)) is None
    state = collected(batch)
    assert PART.collect(state, {}, 2) is state
