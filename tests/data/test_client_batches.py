"""Shards: who holds what, through selection, extension and the two kinds of negatives."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_data import made_data

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.client_batches import ClientBatch, Negatives, build
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.data.split import Split, leave_one_out

USERS, ITEMS = 40, 150


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_one_out(made_data(USERS, ITEMS, 3), cold_users=0.2)


@pytest.fixture(scope="module")
def batch(split: Split) -> ClientBatch:
    return build(split, torch.arange(USERS * 2.0).view(USERS, 2))


def owned(batch: ClientBatch, place: int) -> list[int]:
    own: list[int] = batch.items[batch.ptr[place] : batch.ptr[place + 1]].tolist()
    return own


def excluded(batch: ClientBatch, place: int) -> list[int]:
    start, end = batch.excluded_ptr[place : place + 2].tolist()
    own: list[int] = batch.excluded[start:end].tolist()
    return own


def train(split: Split, user: int) -> list[int]:
    own: list[int] = split.train[split.ptr[user] : split.ptr[user + 1]].tolist()
    return own


def test_everybody_holds_the_own_training_items(split: Split, batch: ClientBatch) -> None:
    assert len(batch) == USERS
    assert batch.n_items == ITEMS
    assert batch.clients.tolist() == list(range(USERS))
    assert batch.counts.tolist() == [len(train(split, user)) for user in range(USERS)]
    for user in range(USERS):
        assert owned(batch, user) == train(split, user)


@pytest.mark.parametrize("negatives", ["honest", "legacy-leaky"])
def test_barred_are_the_training_items_and_if_leaky_the_held_out_ones(
    split: Split, negatives: Negatives
) -> None:
    batch = build(split, torch.empty(USERS, 0), negatives)
    assert len(split.cold_users) > 0
    for user in range(USERS):
        spared = set(train(split, user))
        if negatives == "legacy-leaky" and user not in split.cold_users:
            spared |= {int(split.validation[user]), int(split.test[user])}
        assert excluded(batch, user) == sorted(spared)
        assert owned(batch, user) == train(split, user)


def test_leaky_spares_only_targets_that_there_are(split: Split) -> None:
    asked = split.asked("test")
    targets = split.test_targets.copy()
    targets[asked[0]] = 0
    batch = build(replace(split, test_targets=targets), torch.empty(USERS, 0), "legacy-leaky")
    validation = {int(split.validation[asked[0]])}
    assert excluded(batch, asked[0]) == sorted({*train(split, asked[0])} | validation)
    both = {int(split.validation[asked[1]]), int(split.test[asked[1]])}
    assert excluded(batch, asked[1]) == sorted({*train(split, asked[1])} | both)


@given(st.lists(st.integers(0, USERS - 1), max_size=10))
def test_select_takes_clients_in_the_order_asked(batch: ClientBatch, users: list[int]) -> None:
    some = batch.select(torch.tensor(users, dtype=torch.int64))
    assert some.clients.tolist() == users
    assert some.n_items == ITEMS
    for place, user in enumerate(users):
        assert owned(some, place) == owned(batch, user)
        assert excluded(some, place) == excluded(batch, user)
        assert some.text[place].tolist() == [2.0 * user, 2.0 * user + 1]


def test_select_of_a_selection_goes_by_place(batch: ClientBatch) -> None:
    twice = batch.select(torch.tensor([9, 3, 5])).select(torch.tensor([2, 0]))
    assert twice.clients.tolist() == [5, 9]
    assert owned(twice, 0) == owned(batch, 5)


@pytest.mark.parametrize("length", [1, 5, 100])
def test_last_keeps_the_most_recent_oldest_first(batch: ClientBatch, length: int) -> None:
    padded, lengths = batch.last(length)
    assert padded.shape == (USERS, length)
    for place in range(USERS):
        recent = owned(batch, place)[-length:]
        assert lengths[place].item() == len(recent)
        assert padded[place].tolist() == recent + [-1] * (length - len(recent))


def test_another_history_keeps_who_the_clients_are(batch: ClientBatch) -> None:
    some = batch.select(torch.tensor([4, 2]))
    other = some.with_history(torch.tensor([0, 0, 2]), torch.tensor([7, 8]))
    assert owned(other, 0) == []
    assert owned(other, 1) == [7, 8]
    assert other.clients.tolist() == [4, 2]
    assert excluded(other, 0) == excluded(some, 0)


def test_nothing_is_recent_where_order_means_nothing(batch: ClientBatch) -> None:
    weights = batch.recency(0.5).split(batch.counts.tolist())
    assert all(own[0] == 0.5 ** (len(own) - 1) and own[-1] == 1 for own in weights if len(own))
    assert replace(batch, ordered=False).recency(0.5).tolist() == [1.0] * len(batch.items)


def test_to_moves_every_tensor(batch: ClientBatch) -> None:
    moved = replace(batch, away=torch.zeros(len(batch))).to(torch.device("meta"))
    for name, value in vars(moved).items():
        assert name in ("n_items", "ordered", "text_of") or value.device.type == "meta"
    assert moved.n_items == ITEMS


def test_a_random_stretch_is_in_a_row_from_anywhere_that_fills_it(batch: ClientBatch) -> None:
    key, length = Key(0).to(Purpose.SHUFFLE), 5
    drawn = torch.stack([batch.random_window(length, key.at(number)) for number in range(300)])
    for user in range(USERS):
        own = owned(batch, user)
        rows = {tuple(own[at : at + length]) for at in range(max(1, len(own) - length + 1))}
        padded = {row + (-1,) * (length - len(row)) for row in rows}
        assert set(map(tuple, drawn[:, user].tolist())) == padded


def test_profiles_that_users_share_are_kept_once(split: Split) -> None:
    table, row_of = torch.rand(3, 2), torch.arange(USERS) % 3
    shared = build(split, table, text_of=row_of)
    plain = build(split, table[row_of])
    some = torch.tensor([7, 0, 31])
    assert shared.text is table
    assert torch.equal(shared.own_text, plain.text)
    assert torch.equal(shared.select(some).text, plain.select(some).text)
    assert torch.equal(shared.select(some).own_text, plain.select(some).text)


def test_narrow_numbers_of_everybody_are_wide_in_a_selection(split: Split) -> None:
    text = torch.empty(USERS, 0)
    narrow = build(replace(split, train=split.train.astype("int32")), text)
    assert narrow.items.dtype == narrow.excluded.dtype == torch.int32
    for some, other in zip(
        vars(narrow.select(torch.arange(USERS))).values(),
        vars(build(split, text).select(torch.arange(USERS))).values(),
        strict=True,
    ):
        assert some == other if not isinstance(some, torch.Tensor) else torch.equal(some, other)
        assert not isinstance(some, torch.Tensor) or some.dtype == other.dtype


def test_excluded_items_are_sorted_a_few_clients_at_a_time(
    split: Split, batch: ClientBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ufgraphfr.data.client_batches.ROWS_AT_ONCE", 30)
    assert torch.equal(build(split, batch.text).excluded, batch.excluded)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_histories_that_are_long_lie_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Synthetic(users=300, items=400, groups=4, popularity=1.0, order="chain")
    short = leave_one_out(source.load().interactions)
    whole = build(short, torch.zeros(300, 2))
    monkeypatch.setattr("ufgraphfr.core.mapped.LARGE", 4_000)
    rows = source.load().interactions
    batch = build(leave_one_out(rows), torch.zeros(300, 2))
    for column in (rows.user, rows.item, batch.items.numpy(), batch.excluded.numpy()):
        assert mapped_file(column)
    assert not mapped_file(short.train)
    everybody = torch.arange(300)
    one, other = whole.select(everybody), batch.select(everybody)
    for name in ("ptr", "items", "excluded_ptr", "excluded"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def mapped_file(column: np.ndarray) -> bool:
    """Whether a column's memory is a file of ours."""
    place = column.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(each, 16) for each in line.split(maxsplit=1)[0].split("-"))
        if begin <= place < end:
            return "ufgraphfr-column-" in line
    return False
