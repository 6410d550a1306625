"""Graph filters against their formulas over the whole matrix of users and items."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.algorithms.graph_filter import GraphFilter
from ufgraphfr.algorithms.item_operator import operator
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops import link_rows
from ufgraphfr.testing import SmallFederation, checkerboard


def history(batch: ClientBatch) -> Tensor:
    has = torch.zeros(len(batch), batch.n_items, dtype=torch.float64)
    for user in range(len(batch)):
        has[user, batch.items[batch.ptr[user] : batch.ptr[user + 1]]] = 1
    return has


@pytest.mark.parametrize("rank", [2, 30])
def test_it_is_gf_cf(rank: int) -> None:
    algorithm = GraphFilter(operator={"rounds": 5}, rank=rank)
    federation = SmallFederation.of(algorithm, checkerboard()).run(7, chunk=5)
    has = history(federation.batch)
    users, items = has.sum(1), has.sum(0)
    normal = has / (users[:, None] * items).sqrt()
    directions = torch.linalg.svd(normal).Vh[:rank].T
    low_pass = items.rsqrt()[:, None] * (directions @ directions.T) * items.sqrt()
    expected = has @ normal.T @ normal + 0.3 * has @ low_pass
    torch.testing.assert_close(federation.scores().double(), expected, atol=1e-4, rtol=1e-4)


def test_exponents_and_sharpening() -> None:
    keys = {"history_power": 0.6, "item_power": 0.3, "sharpening": 0.4, "low_pass": 0.2, "rank": 24}
    algorithm = GraphFilter(operator={"rounds": 2, "user_power": 0.7}, **keys)
    federation = SmallFederation.of(algorithm, checkerboard()).run(2)
    has = history(federation.batch)
    users, items = has.sum(1), has.sum(0)
    summed = has.T @ (has * users[:, None] ** -0.7)
    normalised = summed / (items[:, None] * items).sqrt()
    linear = has @ (summed * items[:, None] ** -0.6 * items**-0.3)
    smooth = 0.2 * torch.eye(24, dtype=torch.float64) - 0.4 * normalised @ normalised
    expected = linear + has @ (items.rsqrt()[:, None] * smooth * items.sqrt())
    torch.testing.assert_close(federation.scores().double(), expected, atol=1e-4, rtol=1e-4)


def test_scores_do_not_depend_on_how_many_entries_are_added_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    algorithm = GraphFilter(operator={"rounds": 1}, rank=4)
    federation = SmallFederation.of(algorithm, checkerboard()).run(1)
    whole = federation.scores()
    monkeypatch.setattr(link_rows, "AT_ONCE", 7)
    torch.testing.assert_close(federation.scores(), whole, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {operator.INDEX: torch.tensor([10**6], dtype=torch.int32)},
        {operator.INDEX: torch.tensor([-1], dtype=torch.int32)},
        {operator.PTR: torch.tensor([0, 5, 2])},
        {operator.PTR: torch.zeros(3, dtype=torch.int64)},
        {operator.VALUE: torch.ones(3)},
    ],
)
def test_a_device_takes_no_operator_that_points_elsewhere(change: dict[str, Tensor]) -> None:
    algorithm = GraphFilter(operator={"rounds": 1}, rank=4)
    federation = SmallFederation.of(algorithm, checkerboard()).run(1)
    state, setting = federation.state, federation.setting
    assert algorithm.fits(state, setting)
    for name, value in change.items():
        bad = state[name].clone()
        bad[-len(value) :] = value
        same_length = name != operator.VALUE
        assert not algorithm.fits(state | {name: bad if same_length else value}, setting)
