"""Samples of an epoch, and which state scores them, client by client."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_batches import made_batch

from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.epochs import epoch_samples, window_times
from ufgraphfr.ops.samples import Samples

ITEMS, NEGATIVES = 40, 4
COUNTS = [30, 12, 12, 7, 3, 1, 0]
KEY = Key(3).at(2)


def listed(samples: Samples, client: int) -> list[tuple[int, int, float]]:
    """A client's samples as (item, time, label)."""
    taken = slice(0, int(samples.counts[client]))
    columns = (samples.item, samples.time, samples.positive)
    return list(zip(*(column[client, taken].tolist() for column in columns), strict=True))


def own(batch: ClientBatch, client: int) -> tuple[list[int], set[int]]:
    """A client's training items in time order, and its excluded items."""
    items = batch.items[batch.ptr[client] : batch.ptr[client + 1]]
    excluded = batch.excluded[batch.excluded_ptr[client] : batch.excluded_ptr[client + 1]]
    return items.tolist(), set(excluded.tolist())


@given(
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    negatives=st.integers(1, 5),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 3),
)
def test_every_positive_once_with_its_fresh_negatives(
    counts: list[int], negatives: int, seed: int, epoch: int
) -> None:
    batch = made_batch(counts, items=12, seed=seed)
    samples = epoch_samples(batch, Key(seed).at(1), negatives, epoch)
    assert samples.counts.tolist() == [count * (1 + negatives) for count in counts]
    for client, count in enumerate(counts):
        items, excluded = own(batch, client)
        drawn = listed(samples, client)
        assert sorted((t, i) for i, t, label in drawn if label == 1) == list(enumerate(items))
        missed = [(item, time) for item, time, label in drawn if label == 0]
        assert sorted(time for _, time in missed) == sorted([*range(count)] * negatives)
        assert all(0 <= item < 12 for item, _ in missed)
        assert not excluded & {item for item, _ in missed}


def test_negatives_are_drawn_from_everything_that_is_not_barred() -> None:
    batch = made_batch([20], ITEMS)
    _, excluded = own(batch, 0)
    drawn = {
        item
        for epoch in range(6)
        for item, _, label in listed(epoch_samples(batch, KEY, NEGATIVES, epoch), 0)
        if label == 0
    }
    assert drawn == set(range(ITEMS)) - excluded


@pytest.mark.parametrize("other", [(KEY.at(3), 0), (KEY, 1), (Key(4).at(2), 0)])
def test_rounds_epochs_and_seeds_draw_and_shuffle_apart(other: tuple[Key, int]) -> None:
    batch = made_batch(COUNTS, ITEMS)
    here = listed(epoch_samples(batch, KEY, NEGATIVES, 0), 0)
    again = listed(epoch_samples(batch, KEY, NEGATIVES, 0), 0)
    there = listed(epoch_samples(batch, other[0], NEGATIVES, other[1]), 0)
    assert here == again
    order = {i: place for place, (i, _, label) in enumerate(here) if label}
    assert order != {i: place for place, (i, _, label) in enumerate(there) if label}
    assert sorted(here) != sorted(there)


def test_clients_shuffle_apart() -> None:
    batch = made_batch([12, 12], ITEMS)
    samples = epoch_samples(batch, KEY, NEGATIVES, 0)
    assert samples.time[0].tolist() != samples.time[1].tolist()


def test_seven_clients_at_once_are_seven_clients_alone() -> None:
    batch = made_batch(COUNTS, ITEMS)
    together = epoch_samples(batch, KEY, NEGATIVES, 0)
    for client in range(len(COUNTS)):
        one = epoch_samples(batch.select(torch.tensor([client])), KEY, NEGATIVES, 0)
        assert listed(one, 0) == listed(together, client)


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    history=st.integers(0, 10),
    data=st.data(),
)
def test_an_item_is_scored_in_the_state_before_it(
    counts: list[int], history: int, data: st.DataObject
) -> None:
    batch = made_batch(counts, items=12)
    active = data.draw(st.integers(1, len(counts)))
    time = torch.arange(max(counts)).repeat(active, 1)
    states = window_times(batch, history, time)
    assert states.shape == time.shape
    # padding too must name a state that exists
    assert int(states.min()) >= 0
    assert int(states.max()) < max(1, min(history, max(counts)))
    recent, _ = batch.last(history)
    for client in range(active):
        items, _ = own(batch, client)
        for moment, item in enumerate(items):
            state = int(states[client, moment])
            seen = recent[client, :state].tolist()
            assert item not in seen
            if item in recent[client].tolist():
                # everything of the window that came before, and nothing else
                assert seen == items[max(0, len(items) - history) : moment]
            else:
                assert seen == []


def test_a_client_with_every_item_has_positives_alone() -> None:
    ptr, items = torch.tensor([0, 5, 7]), torch.tensor([3, 0, 1, 4, 2, 2, 4])
    excluded = torch.tensor([0, 1, 2, 3, 4, 2, 4])
    batch = ClientBatch(torch.arange(2), ptr, items, ptr, excluded, torch.zeros(2, 1), 5)
    samples = epoch_samples(batch, KEY, NEGATIVES, 0)
    assert samples.counts.tolist() == [5, 2 * (1 + NEGATIVES)]
    assert sorted(listed(samples, 0)) == sorted(
        (i, t, 1.0) for t, i in enumerate(items[:5].tolist())
    )
    assert (samples.item[0, 5:] == -1).all()
    assert {item for item, _, label in listed(samples, 1) if label == 0} <= {0, 1, 3}
