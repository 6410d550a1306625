"""Alternating steps of stacked clients against one client at a time; and which table ranks."""

import pytest
import torch
import torch.nn.functional as F
from made_batches import made_batch
from torch import nn

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.pfedrec import PFedRec
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, per_client
from ufgraphfr.core.spec import parse
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.epochs import epoch_samples

ITEMS, DIM, SEED = 60, 16, 4
BATCH = made_batch([25, 18, 9, 9, 3, 1], ITEMS)
SETTING = Setting(ITEMS, clients=40, text_width=5, seed=SEED)
KEY = Key(SEED).at(2)
SMALL = {"dim": DIM, "batch_size": 32, "lr": 0.5, "row_scale": 1.0, "score_scale": 6.0}


def made(**values: object) -> PFedRec:
    return parse(PFedRec, SMALL | values, "[algorithm]")


def train_alone(
    layer: nn.Linear, items: nn.Parameter, algorithm: PFedRec, one: ClientBatch
) -> float:
    """Returns the mean cross-entropy after the score layer's steps."""
    start = items.detach().clone()
    score = torch.optim.SGD(layer.parameters(), lr=algorithm.lr * algorithm.score_scale)
    rows = torch.optim.SGD([items], lr=algorithm.lr * ITEMS * algorithm.row_scale)
    losses = []
    for epoch in range(algorithm.local_epochs):
        samples = epoch_samples(one, KEY, algorithm.negatives, epoch)
        both = samples.item[0].split(32), samples.positive[0].split(32)
        for item, label in zip(*both, strict=True):
            score.zero_grad()
            logits = layer(items.detach()[item]).squeeze(1)
            F.binary_cross_entropy_with_logits(logits, label).backward()
            score.step()
            rows.zero_grad()
            entropy = F.binary_cross_entropy_with_logits(layer(items[item]).squeeze(1), label)
            (entropy + algorithm.pull * (items - start).square().mean()).backward()
            rows.step()
            losses.append(entropy.item())
    return sum(losses) / len(losses)


def trained(algorithm: PFedRec, state: State, batch: ClientBatch = BATCH) -> tuple[Report, Private]:
    private = algorithm.init_private(SETTING, batch)
    task = algorithm.broadcast(state, batch.clients, KEY.round)
    update, after = algorithm.local(task, batch, private, KEY)
    arrays = per_client(update.arrays)
    return Report(KEY.round, batch.clients, arrays, Aggregation.PER_CLIENT, update.loss), after


@pytest.mark.parametrize("local_epochs", [1, 2])
@pytest.mark.parametrize("pull", [1.0, 0.0])
def test_stacked_clients_train_as_each_would_alone(local_epochs: int, pull: float) -> None:
    algorithm = made(local_epochs=local_epochs, pull=pull)
    state = algorithm.init_server(SETTING)
    before = algorithm.init_private(SETTING, BATCH)
    report, after = trained(algorithm, state)
    changes = report.arrays["items"]
    assert isinstance(changes, Rows)
    for place, change in enumerate(changes.dense()):
        layer, items = nn.Linear(DIM, 1), nn.Parameter(state["items"].clone())
        layer.weight.data = before["score.weight"][place].T.clone()
        layer.bias.data = before["score.bias"][place].clone()
        loss = train_alone(layer, items, algorithm, BATCH.select(torch.tensor([place])))
        weight, bias = after["score.weight"][place].T, after["score.bias"][place]
        torch.testing.assert_close(weight, layer.weight.data, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(bias, layer.bias.data, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(change, items.data - state["items"], atol=2e-5, rtol=1e-4)
        if local_epochs == 1:
            assert float(report.loss[place]) == pytest.approx(loss, abs=1e-5)


def test_the_server_averages_the_tables() -> None:
    algorithm = made()
    state = algorithm.init_server(SETTING)
    report, _ = trained(algorithm, state)
    changes = report.arrays["items"]
    assert isinstance(changes, Rows)
    expected = (state["items"] + changes.dense()).mean(0)
    torch.testing.assert_close(algorithm.aggregate(state, report)["items"], expected)


@pytest.mark.parametrize("table", ["local", "received"])
def test_the_chosen_table_ranks(table: str) -> None:
    algorithm = made(evaluated_table=table)
    state = algorithm.init_server(SETTING)
    some = BATCH.select(torch.tensor([0, 2, 3]))
    report, _ = trained(algorithm, state, some)
    new = algorithm.aggregate(state, report)
    assert ("before" in new) == (table == "local")
    # the last client has a higher number than all who took part
    asked = torch.tensor([3, 5, 1, 0])
    private = algorithm.init_private(SETTING, BATCH.select(asked))
    task = algorithm.scoring_task(new, BATCH.clients[asked], 3)
    scores = algorithm.score(task, BATCH.select(asked), private)
    changes = report.arrays["items"]
    assert isinstance(changes, Rows)
    local = dict(zip(some.clients.tolist(), state["items"] + changes.dense(), strict=True))
    for place, client in enumerate(BATCH.clients[asked].tolist()):
        own = local.get(client, state["items"]) if table == "local" else new["items"]
        expected = own @ private["score.weight"][place, :, 0] + private["score.bias"][place]
        torch.testing.assert_close(scores[place], expected, atol=1e-5, rtol=1e-4)
