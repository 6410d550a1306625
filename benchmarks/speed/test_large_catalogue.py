"""The sparse item graph on a generated federation: 100,000 items, 10,000 clients of 40 items each.

Collecting everybody's contributions, reading the links out of them, one round of 64 clients with
1,000 candidates, and the scores of 64 clients; CPU time, and the memory of the operators.
"""

import time

import pytest
import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.graph.config import GraphSpec
from ufgraphfr.algorithms.ufgraphformer.graph.part import ItemGraph
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State, Task
from ufgraphfr.data.client_batches import ClientBatch

CLIENTS, ITEMS, EACH, COHORT = 10_000, 100_000, 40, 64
MODEL = UFGraphFormer(text=False, head=False, training={"candidates": 1000})
GRAPH = ItemGraph(GraphSpec())
SETTING = Setting(items=ITEMS, clients=CLIENTS, text_width=1, seed=0)

measured = pytest.mark.benchmark(group="100,000 items", timer=time.process_time)


@pytest.fixture(scope="module")
def batch() -> ClientBatch:
    """Each client walks among items of like number, whose popularity falls with it."""
    generator = torch.Generator().manual_seed(0)
    start = (ITEMS - 200) * torch.rand(CLIENTS, 1, generator=generator) ** 3
    step = torch.rand(CLIENTS, 150, generator=generator).argsort(1)[:, :EACH]
    items = (start.long() + step).flatten()
    ptr = torch.arange(CLIENTS + 1) * EACH
    excluded = items.view(CLIENTS, EACH).sort(1).values.flatten()
    return ClientBatch(
        torch.arange(CLIENTS), ptr, items, ptr, excluded, torch.ones(CLIENTS, 1), ITEMS
    )


@pytest.fixture(scope="module")
def sums(batch: ClientBatch) -> list[State]:
    rounds = range(1, GRAPH.spec.rounds + 1)
    return [contributed(batch, number) for number in rounds]


def contributed(batch: ClientBatch, number: int) -> State:
    ordered = {"ordered": torch.tensor(batch.ordered)}
    update = GRAPH.contribution(Task(number, batch.clients, ordered, {}), batch, Key(0))
    assert update is not None
    return {name: array for name, array in update.arrays.items() if isinstance(array, Tensor)}


@pytest.fixture(scope="module")
def state(sums: list[State]) -> State:
    return collected(sums)


def collected(sums: list[State]) -> State:
    state = MODEL.init_server(SETTING)
    for number, part in enumerate(sums, start=1):
        state = GRAPH.collect(state, part, number)
    return state


@measured
def test_collect(benchmark, batch: ClientBatch) -> None:
    benchmark.pedantic(contributed, args=(batch, 1), rounds=1)


@measured
def test_operators(benchmark, sums: list[State]) -> None:
    state = benchmark.pedantic(collected, args=(sums,), rounds=1)
    graph = [value for name, value in state.items() if name.startswith("graph.")]
    size = sum(value.numel() * value.element_size() for value in graph)
    benchmark.extra_info["megabytes"] = size / 1e6
    # a dense operator alone has 40 GB
    assert size < 1e9


@measured
def test_train(benchmark, batch: ClientBatch, state: State) -> None:
    some = batch.select(torch.arange(COHORT))
    task = MODEL.broadcast(state, some.clients, 9)
    update, _ = benchmark.pedantic(MODEL.local, args=(task, some, {}, Key(0, 9)), rounds=2)
    assert update.loss.isfinite().all()


@measured
def test_score(benchmark, batch: ClientBatch, state: State) -> None:
    some = batch.select(torch.arange(COHORT))
    task = MODEL.scoring_task(state, some.clients, 9)
    scores = benchmark.pedantic(MODEL.score, args=(task, some, {}), rounds=2)
    assert scores.isfinite().all()
