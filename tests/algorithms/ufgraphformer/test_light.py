"""LightGCN as a part: its gradient is that of autograd, and it learns in the cohort's rounds."""

from dataclasses import replace

import pytest
import torch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS
from ufgraphfr.algorithms.ufgraphformer.light import COUNT, GRADIENT, ITEMS, Light
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.experiment import build
from ufgraphfr.experiment.derive import settled
from ufgraphfr.testing import SmallFederation, checkerboard

SMALL = {"dim": 8, "hidden": 8, "history": 5, "graph": {"rounds": 2}}


def losses(table: torch.Tensor, batch: ClientBatch, counts: torch.Tensor):
    """Each client's mean loss, written out."""
    found = []
    for first, last in zip(batch.ptr[:-1].tolist(), batch.ptr[1:].tolist(), strict=True):
        own = batch.items[first:last]
        user = sum(table[i] / (len(own) * counts[i]).sqrt() for i in own.tolist())
        found.append(-(table @ user).log_softmax(0)[own].mean())
    return torch.stack(found)


@pytest.mark.parametrize("aggregation", Aggregation)
def test_clients_send_the_gradient_of_their_mean_loss(aggregation: Aggregation) -> None:
    model = UFGraphFormer(lightgcn=True, **SMALL)
    part, batch = model.light, checkerboard()
    assert part is not None
    counts = torch.bincount(batch.items, minlength=batch.n_items).float()
    setting = Setting(batch.n_items, len(batch), 0, 0)
    state = {**part.state(setting), COUNTS: counts}
    shared = part.message(state) | {COUNTS: counts}
    task = Task(3, batch.clients, shared, {}, aggregation=aggregation)
    update = part.contribution(task, batch, Key(0))
    assert update is not None
    table = state[ITEMS].view(batch.n_items, -1).requires_grad_()
    each = losses(table, batch, counts)
    torch.testing.assert_close(update.loss, each.detach())
    single = update.arrays[GRADIENT].view(-1, *table.shape)
    assert len(single) == (1 if aggregation is Aggregation.SUM else len(batch))
    (total,) = torch.autograd.grad(each.sum(), table, retain_graph=True)
    torch.testing.assert_close(single.sum(0), total, atol=1e-5, rtol=1e-4)
    assert float(update.arrays[COUNT].sum()) == len(batch)
    if aggregation is Aggregation.PER_CLIENT:
        (one,) = torch.autograd.grad(each[3], table)
        torch.testing.assert_close(single[3], one, atol=1e-6, rtol=1e-4)


def test_it_learns_in_the_rounds_of_the_transformer() -> None:
    model = UFGraphFormer(lightgcn=True, **SMALL)
    before, after = (SmallFederation.of(model, checkerboard()).run(rounds) for rounds in (2, 42))
    assert int(after.state[f"{ITEMS}.steps"]) == 40
    batch, counts = after.batch, after.state[COUNTS]
    loss = [
        losses(each.state[f"{ITEMS}.mean"].view(batch.n_items, -1), batch, counts).mean()
        for each in (before, after)
    ]
    assert loss[1] < loss[0] - 0.1


def test_nobody_counts_twice() -> None:
    part = Light(UFGraphFormer(**SMALL))
    setting = Setting(4, 2, 0, 0)
    assert part.is_feasible({COUNT: torch.ones(1, 1)}, setting, 3)
    assert not part.is_feasible({COUNT: torch.full((1, 1), 2.0)}, setting, 3)


@pytest.mark.parametrize("off", [{"graph": False}, {"transformer": False}, {"lightgcn": False}])
def test_where_there_are_no_counts_or_no_rounds_there_is_none(off: dict[str, bool]) -> None:
    model = UFGraphFormer(**{"lightgcn": True, **SMALL, **off})
    assert model.light is None
    assert not any(isinstance(part, Light) for part in model.active_parts)


def test_a_run_of_before_goes_on_without_it() -> None:
    values = {"data": {"kind": "synthetic"}, "algorithm": {"kind": "ufgraphformer", **SMALL}}
    experiment = build(values)
    assert "algorithm.lightgcn" in experiment.auto
    before = replace(experiment, auto=frozenset())
    assert not settled(experiment, before).model.lightgcn


def test_another_run_goes_on_from_what_was_trained_and_counts_the_graph_anew() -> None:
    model = UFGraphFormer(lightgcn=True, **SMALL)
    batch = checkerboard()
    fresh = model.init_server(Setting(batch.n_items, len(batch), 4, 0))
    before = {name: value.clone() for name, value in fresh.items()}
    begun = model.warm_start(fresh, before)
    assert begun.keys() == fresh.keys()
    kept = {name for name in begun if begun[name] is before[name]}
    moments = ("mean", "first", "second", "steps")
    trained = {name for net in ("net", ITEMS) for name in (net, *(f"{net}.{m}" for m in moments))}
    assert kept == trained | {"blend"}
