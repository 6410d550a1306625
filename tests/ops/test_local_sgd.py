"""Stacked training of touched rows against one client at a time with its whole item table."""

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.ops.local_sgd import Batch, Params, batches, train_epoch
from ufgraphfr.ops.samples import Samples
from ufgraphfr.ops.touched import Touched, touched

ITEMS, DIM, HIDDEN, SIZE, EPOCHS = 30, 4, 3, 5, 2
LR = {"first": 0.1, "last": 0.03}
ROW_LR = 6.0
COUNTS = [14, 11, 10, 10, 4, 1, 0]
"""Samples of each client: three, three, two, two, one, one and no batches."""


def made_samples(epoch: int) -> Samples:
    generator = torch.Generator().manual_seed(epoch)
    clients, width = len(COUNTS), COUNTS[0]
    counts = torch.tensor(COUNTS)
    # items meet more than once in a client, and in a batch
    item = torch.randint(ITEMS - 10, (clients, width), generator=generator)
    item[torch.arange(width) >= counts[:, None]] = -1
    return Samples(
        item=item,
        time=torch.randint(9, (clients, width), generator=generator),
        positive=torch.randint(2, (clients, width), generator=generator).float(),
        counts=counts,
    )


def made_params() -> Params:
    generator = torch.Generator().manual_seed(5)
    return {
        "first": torch.randn(len(COUNTS), 2 * DIM, HIDDEN, generator=generator),
        "last": torch.randn(len(COUNTS), HIDDEN, generator=generator),
    }


def model(first: Tensor, last: Tensor, seen: Tensor, vectors: Tensor) -> Tensor:
    """Logits ``[n]`` of one client's items, after what it has seen, ``[dim]``."""
    x = torch.cat((seen.expand_as(vectors), vectors), dim=1)
    return (x @ first).relu() @ last


def forward(params: Params, vectors: Tensor, table: Tensor, batch: Batch) -> Tensor:
    # what a client has seen: the table's row of its batch's first sample, without gradient
    seen = table[batch.row[:, 0]]
    return torch.vmap(model)(params["first"], params["last"], seen, vectors)


def descend(params: Params, gradients: Params) -> None:
    for name, value in params.items():
        value.sub_(gradients[name], alpha=LR[name])


class Trained(NamedTuple):
    """One client after training; its loss is the last epoch's."""

    first: Tensor
    last: Tensor
    table: Tensor
    loss: float


def alone(client: int, start: Tensor, pull: float) -> Trained:
    """The oracle: autograd and torch's SGD on everything, a dense item table among it."""
    params = made_params()
    first, last = (torch.nn.Parameter(params[name][client]) for name in ("first", "last"))
    table = torch.nn.Parameter(start.clone())
    groups = [(first, LR["first"]), (last, LR["last"]), (table, ROW_LR)]
    optimiser = torch.optim.SGD([{"params": [p], "lr": lr} for p, lr in groups])
    for epoch in range(EPOCHS):
        samples, losses = made_samples(epoch), []
        for begin in range(0, COUNTS[client], SIZE):
            window = slice(begin, min(begin + SIZE, COUNTS[client]))
            item, label = samples.item[client, window], samples.positive[client, window]
            optimiser.zero_grad()
            logits = model(first, last, table[item[0]].detach(), table[item])
            entropy = F.binary_cross_entropy_with_logits(logits, label)
            (entropy + pull * (table - start).square().mean()).backward()
            optimiser.step()
            losses.append(entropy.item())
    loss = sum(losses) / max(1, len(losses))
    return Trained(first.detach(), last.detach(), table.detach(), loss)


def stacked(pull: float, start: Tensor) -> tuple[Params, Touched, Tensor, Tensor]:
    """What is under test: weights, touched rows, their values, losses."""
    params = made_params()
    epochs = [made_samples(epoch) for epoch in range(EPOCHS)]
    rows = touched(torch.cat([samples.item for samples in epochs], dim=1), ITEMS)
    owner = torch.repeat_interleave(torch.arange(len(COUNTS)), rows.ptr.diff())
    begin = start[owner, rows.index]
    table, loss = begin.clone(), torch.empty(0)
    decay = ROW_LR * pull * 2 / (ITEMS * DIM)
    for samples in epochs:
        steps = batches(samples, rows, SIZE)
        loss = train_epoch(
            params, table, begin, rows, steps, forward, descend, row_lr=ROW_LR, decay=decay
        )
    return params, rows, table, loss


@pytest.mark.parametrize("pull", [3.0, 0.0])
def test_stacked_clients_train_as_each_would_alone(pull: float) -> None:
    start = torch.randn(len(COUNTS), ITEMS, DIM, generator=torch.Generator().manual_seed(9))
    params, rows, table, loss = stacked(pull, start)
    moved = 0.0
    for client in range(len(COUNTS)):
        expected = alone(client, start[client], pull)
        own = slice(int(rows.ptr[client]), int(rows.ptr[client + 1]))
        untouched = torch.ones(ITEMS, dtype=torch.bool)
        untouched[rows.index[own]] = False
        # the claim that lets untouched rows be left out: they do not move, not even by rounding
        assert torch.equal(expected.table[untouched], start[client][untouched])
        full = start[client].clone()
        full[rows.index[own]] = table[own]
        for result, oracle in (
            (full, expected.table),
            (params["first"][client], expected.first),
            (params["last"][client], expected.last),
            (loss[client], torch.tensor(expected.loss)),
        ):
            torch.testing.assert_close(result, oracle, atol=1e-5, rtol=1e-5)
        moved = max(moved, float((full - start[client]).abs().max()))
    assert moved > 0.1


def test_batches_shrink_to_the_clients_that_have_samples_left() -> None:
    samples = made_samples(0)
    rows = touched(samples.item, ITEMS)
    seen: list[list[tuple[int, int, float]]] = [[] for _ in COUNTS]
    for number, batch in enumerate(batches(samples, rows, SIZE)):
        assert batch.number == number
        assert len(batch.row) == sum(count > number * SIZE for count in COUNTS)
        torch.testing.assert_close(batch.weight.sum(1), torch.ones(len(batch.row)))
        for client in range(len(batch.row)):
            inside = batch.weight[client] > 0
            weights = batch.weight[client][inside]
            torch.testing.assert_close(weights, torch.full_like(weights, 1 / len(weights)))
            item = rows.index[batch.row[client][inside]].tolist()
            time = batch.time[client][inside].tolist()
            label = batch.positive[client][inside].tolist()
            seen[client] += zip(item, time, label, strict=True)
    for client, count in enumerate(COUNTS):
        assert seen[client] == [
            (
                int(samples.item[client, n]),
                int(samples.time[client, n]),
                float(samples.positive[client, n]),
            )
            for n in range(count)
        ]


def test_clients_must_come_with_the_most_samples_first() -> None:
    samples = made_samples(0)
    turned = Samples(samples.item, samples.time, samples.positive, samples.counts.flip(0))
    with pytest.raises(ValueError, match="from most to fewest"):
        next(batches(turned, touched(samples.item, ITEMS), SIZE))
