"""Local training of one round: clients one after another with whole tables, or stacked.

100 made-up clients with MovieLens-100K's density and catalogue, UFGraphFR's defaults. The loop is
what one would write first: torch's own layers, a dense item table and plain SGD per client; its
batches are cut from arrays, or come from torch's DataLoader as is customary.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
import torch
from lonely_client import LonelyClient, Step, train
from made_shards import made_shard
from torch.utils.data import DataLoader, TensorDataset

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphfr import UFGraphFR
from ufgraphfr.core.keys import Key
from ufgraphfr.core.tables import SharedTable
from ufgraphfr.data.shards import Shard

ALGORITHM = UFGraphFR()
CLIENTS, ITEMS, WIDTH = 100, 1682, 512
SETTING = Setting(items=ITEMS, clients=10 + 3 * CLIENTS, text_width=WIDTH, seed=0)


def made_clients() -> Shard:
    """Numbers of training items much as on MovieLens-100K: from 18 on, median 64, mean 101."""
    random = np.random.default_rng(0)
    counts = (18 + random.lognormal(3.75, 1.15, CLIENTS)).clip(max=735).astype(int)
    return made_shard(sorted(counts.tolist(), reverse=True), ITEMS, WIDTH)


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
    clients: list[LonelyClient],
    shard: Shard,
    start: torch.Tensor,
    batches: Callable[[Step], Iterable[Step]],
) -> None:
    random = np.random.default_rng(1)
    histories = shard.items.split(shard.counts.tolist())
    for client, text, items in zip(clients, shard.text, histories, strict=True):
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


@pytest.mark.benchmark(group="100 clients train for a round", min_rounds=3)
@pytest.mark.parametrize("batches", [cut, loaded])
def test_one_after_another(benchmark, batches: Callable[[Step], Iterable[Step]]) -> None:
    shard = made_clients()
    start = ALGORITHM.init_table(SETTING)
    clients = [LonelyClient(ITEMS, WIDTH, dropout=ALGORITHM.dropout) for _ in range(CLIENTS)]
    benchmark(one_after_another, clients, shard, start, batches)


@pytest.mark.benchmark(group="100 clients train for a round", min_rounds=3)
def test_stacked(benchmark) -> None:
    shard = made_clients()
    tables = SharedTable(ALGORITHM.init_table(SETTING), CLIENTS)
    private = ALGORITHM.init_private(SETTING, shard)
    benchmark(ALGORITHM.train_client, private, tables, shard, Key(0).at(1))
