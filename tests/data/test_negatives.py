"""Negatives: uniform outside the excluded items, the same for a client in any company."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.negatives import draw_outside

KEY = Key(11, round=3, purpose=Purpose.NEGATIVES)
ITEMS = 12
BARRED = st.lists(st.sets(st.integers(0, ITEMS - 1), max_size=ITEMS - 1), min_size=1, max_size=6)


def csr(sets: list[set[int]]) -> tuple[Tensor, Tensor]:
    ptr = torch.tensor([0, *map(len, sets)]).cumsum(0)
    return ptr, torch.tensor([x for own in sets for x in sorted(own)], dtype=torch.int64)


@given(BARRED, st.booleans())
def test_barred_items_are_never_drawn_and_every_other_one_is(
    sets: list[set[int]], distinct: bool
) -> None:
    clients = torch.arange(len(sets))
    drawn = draw_outside(KEY, clients, 200, ITEMS, *csr(sets), distinct=distinct)
    assert drawn.shape == (len(sets), 200)
    for own, row in zip(sets, drawn.tolist(), strict=True):
        # 200 draws miss one of at most 12 free items with a chance of 3e-8
        assert set(row) - {-1} == set(range(ITEMS)) - own
        assert (-1 in row) == distinct


@given(BARRED, st.integers(1, 15))
def test_distinct_draws_never_repeat_and_what_is_lacking_is_minus_one(
    sets: list[set[int]], count: int
) -> None:
    clients = torch.arange(len(sets))
    drawn = draw_outside(KEY, clients, count, ITEMS, *csr(sets), distinct=True)
    for own, row in zip(sets, drawn.tolist(), strict=True):
        some = min(count, ITEMS - len(own))
        assert not own & set(row[:some])
        assert len(set(row[:some])) == some
        assert row[some:] == [-1] * (count - some)


@pytest.mark.parametrize("distinct", [False, True])
def test_a_clients_draws_do_not_depend_on_the_others(distinct: bool) -> None:
    rng = np.random.default_rng(0)
    sets = [set(rng.permutation(50)[: rng.integers(0, 40)].tolist()) for _ in range(9)]
    clients = torch.tensor([4, 7, 1, 100, 3, 8, 2**31, 5, 0])
    together = draw_outside(KEY, clients, 30, 50, *csr(sets), distinct=distinct)
    for place, own in enumerate(sets):
        alone = draw_outside(
            KEY, clients[place : place + 1], 30, 50, *csr([own]), distinct=distinct
        )
        assert torch.equal(alone[0], together[place])
    backwards = draw_outside(KEY, clients.flip(0), 30, 50, *csr(sets[::-1]), distinct=distinct)
    assert torch.equal(backwards.flip(0), together)


def test_draws_are_uniform_over_the_rest() -> None:
    own = {0, 3, 4, 5, 17, 39}
    drawn = draw_outside(KEY, torch.arange(200), 500, 40, *csr([own] * 200))
    counts = torch.bincount(drawn.flatten(), minlength=40).numpy()
    free = np.setdiff1d(np.arange(40), list(own))
    assert counts.sum() == counts[free].sum()
    assert chisquare(counts[free]).pvalue > 0.001


def test_distinct_draws_are_uniform_over_pairs() -> None:
    """All subsets are equally likely: 2 of 5 free items, 10 pairs."""
    own = {1, 2}
    drawn = draw_outside(KEY, torch.arange(20_000), 2, 7, *csr([own] * 20_000), distinct=True)
    low, high = drawn.sort(1).values.unbind(1)
    pairs = torch.bincount(low * 7 + high)
    assert chisquare(pairs[pairs > 0].numpy()).pvalue > 0.001
    assert int((pairs > 0).sum()) == 10


def test_rounds_and_purposes_draw_anew() -> None:
    sets = csr([{1}, {2}])
    clients = torch.arange(2)
    first = draw_outside(KEY, clients, 50, 1000, *sets)
    assert torch.equal(first, draw_outside(KEY, clients, 50, 1000, *sets))
    assert not torch.equal(first, draw_outside(KEY.at(4), clients, 50, 1000, *sets))
    other = KEY.to(Purpose.CANDIDATES)
    assert not torch.equal(first, draw_outside(other, clients, 50, 1000, *sets))


@pytest.mark.parametrize("distinct", [False, True])
def test_a_user_with_every_item_draws_nothing_and_stops_nobody(distinct: bool) -> None:
    sets = [{0}, {0, 1, 2, 3}, {1, 2, 3}]
    drawn = draw_outside(KEY, torch.arange(3), 1, 4, *csr(sets), distinct=distinct)
    assert drawn[0].item() in {1, 2, 3}
    assert drawn[1:].tolist() == [[-1], [0]]


def test_no_clients_no_draws() -> None:
    drawn = draw_outside(KEY, torch.arange(0), 5, 10, *csr([]))
    assert drawn.shape == (0, 5)
