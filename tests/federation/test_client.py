"""The client function: order, stacking, release, and what it must not touch."""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_batches import made_batch
from torch import Tensor

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, Task
from ufgraphfr.core.releases import Release
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.client import Client, Request
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.noise import grid_step
from ufgraphfr.privacy.base import Arrays, Mechanism, Participation, ReleasePlan

COUNTS = [3, 17, 9, 9, 0, 26, 1]
ITEMS, KEY = 40, Key(2).at(5)
BATCH = made_batch(COUNTS, ITEMS)
SETTING = Setting(items=ITEMS, clients=40, text_width=5, seed=1)
SMALL = {"dim": 8, "batch_size": 20, "row_scale": 5.0}
NONE = MECHANISMS.build("none", {}, "[privacy]")


def ufgraphfr() -> tuple[Algorithm, Mechanism]:
    """With dropout, and noise on the device: all randomness there is."""
    noise = {"arrays": ["joint.step"], "scale": 0.01}
    return (
        ALGORITHMS.build("ufgraphfr", SMALL | {"history": 6}, "[algorithm]"),
        MECHANISMS.build("laplace-as-published", noise, "[privacy]"),
    )


def local_only() -> tuple[Algorithm, Mechanism]:
    return ALGORITHMS.build("local-only", SMALL, "[algorithm]"), NONE


def fedmf() -> tuple[Algorithm, Mechanism]:
    return ALGORITHMS.build("fedmf", SMALL, "[algorithm]"), NONE


Make = Callable[[], tuple[Algorithm, Mechanism]]


def ask(make: Make, places: list[int]) -> tuple[Report, Private]:
    """What clients answer when they are asked together in this order."""
    algorithm, mechanism = make()
    batch = BATCH.select(torch.tensor(places))
    task = algorithm.broadcast(algorithm.init_server(SETTING), batch.clients, KEY.round)
    task = replace(task, aggregation=algorithm.aggregation)
    private = algorithm.init_private(SETTING, batch)
    return Client(algorithm, mechanism).respond(Request(task, batch, private, KEY))


def close(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [ufgraphfr, local_only, fedmf])
@given(places=st.lists(st.sampled_from(range(7)), min_size=1, max_size=7, unique=True))
@settings(max_examples=15)
def test_any_clients_in_any_order_answer_as_each_would_alone(make: Make, places: list[int]) -> None:
    report, after = ask(make, places)
    alone = [ask(make, [place]) for place in places]
    assert report.round == KEY.round
    assert torch.equal(report.clients, BATCH.clients[places])
    close(report.loss, torch.cat([one.loss for one, _ in alone]))
    for name, value in after.items():
        close(value, torch.cat([weights[name] for _, weights in alone]))
    for name, array in report.arrays.items():
        each = torch.cat([one.arrays[name].dense() for one, _ in alone])
        summed = report.aggregation is Aggregation.SUM
        close(array.dense(), each.sum(0, keepdim=True) if summed else each)


@pytest.mark.parametrize("make", [ufgraphfr, local_only, fedmf])
@pytest.mark.parametrize("places", [[5, 1, 2, 3, 0, 6, 4], [4, 0, 5, 2]])
def test_training_moves_the_new_weights_and_not_the_old(make: Make, places: list[int]) -> None:
    algorithm, mechanism = make()
    batch = BATCH.select(torch.tensor(places))
    state = algorithm.init_server(SETTING)
    private = algorithm.init_private(SETTING, batch)
    before = {name: value.clone() for name, value in (private | state).items()}
    items = batch.items.clone()
    task = algorithm.broadcast(state, batch.clients, KEY.round)
    _, after = Client(algorithm, mechanism).respond(Request(task, batch, private, KEY))
    for name, value in (private | state).items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(batch.items, items)
    assert after.keys() == private.keys()
    has_data = batch.counts > 0
    moved = [(after[name] != private[name]).flatten(1).any(1) for name in private]
    assert torch.equal(torch.stack(moved).any(0), has_data)


@pytest.mark.parametrize("order", [[1, 0], [0, 1]])
def test_the_device_half_of_the_mechanism_runs_before_anything_leaves(order: list[int]) -> None:
    class Marked(type(NONE)):  # type: ignore[misc]
        """Writes each client's number over its update."""

        per_client: ClassVar[bool] = True

        def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
            assert key == KEY
            assert all(value.clients == len(clients) for value in arrays.values())
            return {name: Dense(clients.float()[:, None]) for name in arrays}

    places = torch.tensor(order)
    batch = BATCH.select(places)
    for make, expected in (
        (ufgraphfr, batch.clients.float()[:, None]),
        (fedmf, batch.clients.float().sum()[None, None]),
    ):
        algorithm, _ = make()
        task: Task = algorithm.broadcast(algorithm.init_server(SETTING), batch.clients, 5)
        task = replace(task, aggregation=algorithm.aggregation)
        private = algorithm.init_private(SETTING, batch)
        report, _ = Client(algorithm, Marked()).respond(Request(task, batch, private, KEY))
        assert report.aggregation is algorithm.aggregation
        assert all(torch.equal(value.dense(), expected) for value in report.arrays.values())


def test_a_shard_of_nobody_with_data_answers_too() -> None:
    empty: ClientBatch = BATCH.select(torch.tensor([4]))
    algorithm, _ = fedmf()
    task = algorithm.broadcast(algorithm.init_server(SETTING), empty.clients, 1)
    private = algorithm.init_private(SETTING, empty)
    report, after = Client(algorithm, NONE).respond(Request(task, empty, private, KEY))
    assert report.loss.tolist() == [0]
    assert not report.arrays["items"].dense().any()
    assert torch.equal(after["user"], private["user"])


def test_under_a_budget_no_loss_leaves_and_no_unclipped_sum() -> None:
    ledger = Ledger(None)
    spec = MECHANISMS.build("central-jdp", {"epsilon": 1, "clip": 0.01}, "[privacy]")
    participation = Participation(Release("update", 1, 9), 9, None, 40)
    mechanism = spec.calibrate(ReleasePlan((participation,), 40, True, "fedmf"), ledger)
    report, _ = ask(lambda: (fedmf()[0], mechanism), [0, 1, 2])
    assert not report.loss.any()
    assert report.aggregation is Aggregation.SUM
    total = report.sums["items"]
    assert total.dtype == torch.int64
    assert float(total.double().norm()) * grid_step(0.01) <= 3 * 0.01
    # contributions to an item graph are added up whatever is asked for
    graph = ALGORITHMS.build("ufgraphformer", {}, "[algorithm]")
    with pytest.raises(InputError, match="it has no private form"):
        ask(lambda: (graph, mechanism), [0, 1])
