"""Defences: what they must bound for any reply, and known answers."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.capabilities import item_views
from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphfr import UFGraphFR
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import Aggregation, Report, per_client
from ufgraphfr.federation.defences import DEFENCES
from ufgraphfr.federation.defences.krum import Krum
from ufgraphfr.federation.defences.row_cap import RowCap
from ufgraphfr.federation.defences.trimmed_mean import TrimmedMean

ITEMS = 6
TINY = 1e-40
"""Below this float32 has no precision left."""
SETTING = Setting(ITEMS, 10, 4, seed=0)


def report(arrays, clients):
    loss = torch.zeros(clients)
    return Report(2, torch.arange(clients), per_client(arrays), Aggregation.PER_CLIENT, loss)


def combined(kind, arrays, algorithm=None):
    clients = next(v.clients if isinstance(v, Rows) else len(v) for v in arrays.values())
    defence = kind if not isinstance(kind, str) else DEFENCES.build(kind, {}, "test")
    return defence.combine(report(arrays, clients), algorithm or FedMF(), SETTING)


@pytest.mark.parametrize("kind", DEFENCES.kinds)
def test_equal_clients_are_left_alone(kind):
    tables = torch.randn(1, ITEMS, 3, generator=torch.manual_seed(0)).expand(5, -1, -1).clone()
    factor = {"factor": 1.0} if kind == "row-cap" else {}
    defence = DEFENCES.build(kind, factor, "test")
    found = combined(defence, {"items": tables}).sums["items"]
    torch.testing.assert_close(found, tables.sum(0))


@example(1.0, 3, [0.0, 1.1776408057484044e27, 1.110644592923005e-14] + [0.0] * 6, False)
@given(
    factor=st.floats(0.05, 3),
    clients=st.integers(3, 9),
    lengths=st.lists(st.floats(0, 2.0**100, width=32), min_size=9, max_size=9),
    sparse=st.booleans(),
)
def test_no_row_is_longer_than_the_cap_of_the_median_client(factor, clients, lengths, sparse):
    own = torch.randn(clients, ITEMS, 3, generator=torch.manual_seed(1))
    own *= torch.tensor(lengths[:clients])[:, None, None]
    cap = factor * own.double().norm(dim=2).amax(1).median()
    arrays = {"items": Rows.of(own) if sparse else own}
    dense = combined(RowCap(factor=factor), arrays).arrays["items"].dense()
    assert bool(dense.isfinite().all())
    assert float(dense.double().norm(dim=2).max()) <= float(cap) * (1 + 1e-5) + TINY
    short = own.double().norm(dim=2) <= cap
    assert torch.equal(dense[short], own[short])


def test_half_the_clients_cannot_raise_the_cap():
    own = torch.ones(9, ITEMS, 3)
    own[:4] *= 1e20
    found = combined(RowCap(factor=1.0), {"items": own}).arrays["items"].dense()
    torch.testing.assert_close(found, torch.ones(9, ITEMS, 3))


def test_rows_of_a_packed_gradient_are_capped_too():
    algorithm = UFGraphFormer(dim=4, hidden=4, heads=1, blocks=1, history=3)
    size = algorithm.sequence.network(ITEMS, 4, 0).size
    own = torch.randn(5, size, generator=torch.manual_seed(2))
    views = item_views(algorithm, {"gradient": own}, SETTING, 9)
    views["gradient.item.weight"][0, 2] *= 1e6
    views["gradient.item.bias"][0, 2] *= 1e6
    views["gradient.last.gain"][0] *= 1e6
    before = own.clone()
    found = combined(RowCap(factor=1.0), {"gradient": own}, algorithm).arrays["gradient"].dense()
    assert torch.equal(own, before)
    after = item_views(algorithm, {"gradient": found}, SETTING, 9)
    for name in ("gradient.item.weight", "gradient.item.bias", "gradient.last.gain"):
        assert float(after[name].abs().max()) < 10
    # a row below the cap is not touched
    assert torch.equal(after["gradient.item.bias"][1].sign(), views["gradient.item.bias"][1].sign())
    shortest = views["gradient.item.bias"][1].abs().argmin()
    assert torch.equal(
        after["gradient.item.bias"][1, shortest], views["gradient.item.bias"][1, shortest]
    )


def test_counts_of_pairs_are_scaled_as_one():
    # a history of three items and one of six: the longer one counts for less
    own = torch.zeros(3, ITEMS, ITEMS, dtype=torch.uint8)
    own[:2, :3, :3] = 1
    own[2] = 1
    found = combined(RowCap(factor=1.0), {"graph.pairs": own}).arrays["graph.pairs"].dense()
    torch.testing.assert_close(found[:2], own[:2].float())
    torch.testing.assert_close(found[2], torch.full((ITEMS, ITEMS), 3 / 6))


def test_trimmed_mean_by_hand():
    own = torch.tensor([5.0, -100.0, 1.0, 3.0, 100.0])[:, None]
    found = combined(TrimmedMean(trim=0.2), {"user": own})
    assert found.aggregation is Aggregation.SUM
    assert float(found.sums["user"]) == 5 * (5 + 1 + 3) / 3


def test_krum_leaves_out_the_far_one():
    own = torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1], [50, 50]])
    found = combined(Krum(suspected=0.2), {"user": own})
    torch.testing.assert_close(found.sums["user"], torch.tensor([0.5, 0.5]) * 5)


@pytest.mark.parametrize("kind", ["krum", "trimmed-mean"])
def test_a_sum_is_not_what_a_user_graph_needs(kind):
    with pytest.raises(InputError, match=r"needs each client's own reply: use row-cap or none"):
        combined(kind, {"items": torch.ones(3, ITEMS, 2)}, UFGraphFR(dim=8))


def test_an_infinite_norm_is_no_way_through():
    own = torch.ones(3, ITEMS, 2)
    own[0] = 3e38
    found = combined(RowCap(), {"items": own}).arrays["items"].dense()
    assert math.isfinite(float(found.sum()))
