"""Local training of one round: clients one after another with whole tables, or stacked.

943 made-up clients with MovieLens-100K's density and catalogue, UFGraphFR's defaults, CPU time. The
loop is what one would write first: torch's own layers, a dense item table and plain SGD per client.
Its leanest form has a model object for each client and cuts batches from arrays; ``loaded`` takes
batches from torch's DataLoader instead; ``swapped`` also has but one model object, as simulators
have, into which each client's state dict is loaded, and from which it is copied afterwards.
"""

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
import torch
from lonely_client import LonelyClient, Step, train
from made_batches import made_batch
from torch.utils.data import DataLoader, TensorDataset

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphfr import UFGraphFR
from ufgraphfr.core.arrays.tables import SharedTable
from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.private_state import PrivateState

ALGORITHM = UFGraphFR()
CLIENTS, ITEMS, WIDTH, CHUNK = 943, 1682, 512, FederationSpec().chunk
SETTING = Setting(items=ITEMS, clients=10 + 3 * CLIENTS, text_width=WIDTH, seed=0)


def made_clients() -> ClientBatch:
    """Numbers of training items much as on MovieLens-100K: from 18 on, median 64, mean 101."""
    random = np.random.default_rng(0)
    counts = (18 + random.lognormal(3.75, 1.15, CLIENTS)).clip(max=735).astype(int)
    return made_batch(sorted(counts.tolist(), reverse=True), ITEMS, WIDTH)


def drawn(items: np.ndarray, random: np.random.Generator) -> Step:
    """Every item with fresh negatives, and the states that score them."""
    count, each = len(items), 1 + ALGORITHM.negatives
    others = np.setdiff1d(np.arange(ITEMS), items)
    item = np.column_stack((items, random.choice(others, (count, ALGORITHM.negatives)))).ravel()
    label = np.tile(np.eye(1, each, dtype=np.float32)[0], count)
    time = np.repeat(np.arange(count), each)
    state = (time - max(0, count - ALGORITHM.history)).clip(min=0)
    return torch.from_numpy(state), torch.from_numpy(item), torch.from_numpy(label)


def cut(samples: Step) -> Iterator[Step]:
    order = torch.randperm(len(samples[0]))
    parts = (column[order].split(ALGORITHM.batch_size) for column in samples)
    yield from zip(*parts, strict=True)


def loaded(samples: Step) -> Iterable[Step]:
    return DataLoader(TensorDataset(*samples), batch_size=ALGORITHM.batch_size, shuffle=True)


def one_after_another(
    clients: Iterable[LonelyClient],
    batch: ClientBatch,
    start: torch.Tensor,
    batches: Callable[[Step], Iterable[Step]],
) -> None:
    random = np.random.default_rng(1)
    histories = batch.items.split(batch.counts.tolist())
    for client, text, items in zip(clients, batch.text, histories, strict=True):
        client.items.weight.data.copy_(start)
        train(
            client,
            text,
            items[-ALGORITHM.history :],
            batches(drawn(items.numpy(), random)),
            lr=ALGORITHM.lr,
            joint_lr=ALGORITHM.lr * ALGORITHM.joint_scale,
            row_lr=ALGORITHM.lr * ITEMS * ALGORITHM.row_scale,
            pull=ALGORITHM.pull,
        )


def swapped(states: list[dict[str, torch.Tensor]]) -> Iterator[LonelyClient]:
    """One model object in the place of all clients; states are replaced by the trained ones."""
    model = LonelyClient(ITEMS, WIDTH, dropout=ALGORITHM.dropout)
    for client, state in enumerate(states):
        model.load_state_dict(state)
        yield model
        states[client] = {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def seconds(request: pytest.FixtureRequest) -> Iterator[dict[str, float]]:
    """Median CPU seconds by variant; how many times as fast stacking is, is printed at the end."""
    medians: dict[str, float] = {}
    yield medians
    stacked = medians.pop("stacked", None)
    ratios = {name: median / stacked for name, median in medians.items()} if stacked else {}
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        for name, ratio in ratios.items():
            print(f"\nstacked is {ratio:.1f} times as fast as {name}", end="")


measured = pytest.mark.benchmark(group="943 clients train for a round", timer=time.process_time)


@measured
def test_stacked(benchmark, seconds: dict[str, float]) -> None:
    batch = made_clients()
    table = ALGORITHM.init_table(SETTING)
    store = PrivateState(ALGORITHM.init_private(SETTING, batch))

    def round_() -> None:
        for places in torch.arange(CLIENTS).split(CHUNK):
            tables = SharedTable(table, len(places))
            mine, own = store.gather(places), batch.select(places)
            after, _, _ = ALGORITHM.train_client(mine, tables, own, Key(0).at(1))
            store.scatter(places, after)

    benchmark.pedantic(round_, rounds=5, warmup_rounds=1)
    seconds["stacked"] = benchmark.stats.stats.median


@measured
@pytest.mark.parametrize("variant", ["cut", "loaded", "swapped"])
def test_one_after_another(benchmark, seconds: dict[str, float], variant: str) -> None:
    batch = made_clients()
    start = ALGORITHM.init_table(SETTING)
    clients = [LonelyClient(ITEMS, WIDTH, dropout=ALGORITHM.dropout) for _ in range(CLIENTS)]
    states = [client.state_dict() for client in clients]
    batches = cut if variant == "cut" else loaded

    def round_() -> None:
        who = swapped(states) if variant == "swapped" else clients
        one_after_another(who, batch, start, batches)

    benchmark.pedantic(round_, rounds=2, warmup_rounds=1)
    seconds[variant] = benchmark.stats.stats.median
