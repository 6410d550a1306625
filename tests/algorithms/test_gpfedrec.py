"""Whole tables in closed form against one client at a time; the graph against a slow loop."""

import pytest
import torch
from lonely_neural import LonelyNeural, train_alone
from made_batches import made_batch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.gpfedrec import GPFedRec, related_users
from ufgraphfr.core.arrays.tables import DenseTables, SharedTable
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, State, Task, per_client
from ufgraphfr.core.spec import parse

ITEMS, DIM, SEED = 60, 16, 4
BATCH = made_batch([25, 18, 9, 9, 3, 1], ITEMS)
SETTING = Setting(ITEMS, clients=40, text_width=5, seed=SEED)
KEY = Key(SEED).at(2)
SMALL = {"dim": DIM, "batch_size": 32, "lr": 0.5, "row_scale": 4.0, "user_scale": 6.0}


def made(**values: object) -> GPFedRec:
    return parse(GPFedRec, SMALL | values, "[algorithm]")


@pytest.mark.parametrize("values", [{}, {"local_epochs": 2}, {"pull": 0.0}, {"pull": 3.0}])
def test_stacked_clients_train_as_each_would_alone(values: dict[str, object]) -> None:
    algorithm = made(**values)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(ITEMS, DIM, generator=generator) * 0.3
    related = torch.randn(len(BATCH), ITEMS, DIM, generator=generator) * 0.3
    tables = {"items": SharedTable(start, len(BATCH)), "related": DenseTables(related)}
    private = {k: 3 * v for k, v in algorithm.init_private(SETTING, BATCH).items()}
    task = Task(KEY.round, BATCH.clients, {}, dict(tables))
    update, after = algorithm.local(task, BATCH, private, KEY)
    changes = update.arrays["items"]
    assert isinstance(changes, Tensor)
    for place, change in enumerate(changes):
        own = {name: value[place] for name, value in private.items()}
        client = LonelyNeural(own["user"], own, start)
        one = BATCH.select(torch.tensor([place]))
        train_alone(client, algorithm, one, KEY, anchor=related[place])
        # every row, also those that no sample touched
        torch.testing.assert_close(change, client.items.data - start, atol=5e-5, rtol=1e-3)
        torch.testing.assert_close(after["user"][place], client.user.data, atol=2e-5, rtol=1e-4)
        for name, value in client.scorer().items():
            torch.testing.assert_close(after[name][place], value, atol=2e-5, rtol=1e-4)


def test_related_are_those_above_the_mean_cosine_and_oneself() -> None:
    tables = torch.randn(9, 5, 4, generator=torch.Generator().manual_seed(1))
    tables[3:6] += 2
    flat = tables.flatten(1)
    cosine = torch.tensor(
        [[float(torch.nn.functional.cosine_similarity(a, b, dim=0)) for b in flat] for a in flat]
    )
    graph = related_users(tables)
    for user in range(9):
        related = {v for v in range(9) if cosine[user, v] > cosine.mean()} | {user}
        assert set(graph[user].nonzero()[:, 0].tolist()) == related
        torch.testing.assert_close(graph[user, user], torch.tensor(1 / len(related)))
    assert 9 < int((graph > 0).sum()) < 81


def test_users_with_one_table_are_related_to_themselves() -> None:
    graph = related_users(torch.ones(4, 3, 2))
    assert bool((graph.diagonal() > 0).all())
    torch.testing.assert_close(graph.sum(1), torch.ones(4))


def reported(algorithm: GPFedRec) -> tuple[State, Tensor, Tensor]:
    """The server after a round of three clients; who they are, and their tables."""
    state = algorithm.init_server(SETTING)
    who = BATCH.clients[[0, 2, 3]]
    change = torch.randn(3, ITEMS, DIM, generator=torch.Generator().manual_seed(2))
    change[1] = change[0] + 0.1 * change[1]
    arrays = per_client({"items": change})
    report = Report(1, who, arrays, Aggregation.PER_CLIENT, torch.zeros(3))
    return algorithm.aggregate(state, report), who, state["items"] + change


def test_the_server_sends_global_table_and_related_users_mean() -> None:
    algorithm = made()
    new, who, tables = reported(algorithm)
    alike = tables[:2].mean(0)
    torch.testing.assert_close(new["items"], (2 * alike + tables[2]) / 3)
    sat_out = BATCH.clients[[5]]
    task = algorithm.broadcast(new, torch.cat((sat_out, who.flip(0))), 2)
    start, related = task.tables("items").dense(), task.tables("related").dense()
    torch.testing.assert_close(start, new["items"].expand_as(start))
    expected = torch.stack([new["items"], tables[2], alike, alike])
    torch.testing.assert_close(related, expected)


def test_before_the_first_round_nobody_is_pulled_elsewhere() -> None:
    algorithm = made()
    state = algorithm.init_server(SETTING)
    task = algorithm.broadcast(state, BATCH.clients, 1)
    assert torch.equal(task.tables("related").dense(), task.tables("items").dense())


@pytest.mark.parametrize("table", ["received", "local"])
def test_the_chosen_table_ranks(table: str) -> None:
    algorithm = made(evaluated_table=table)
    new, who, tables = reported(algorithm)
    asked = torch.tensor([3, 5, 0])
    some = BATCH.select(asked)
    private = algorithm.init_private(SETTING, some)
    scores = algorithm.score(algorithm.scoring_task(new, some.clients, 2), some, private)
    local = dict(zip(who.tolist(), tables, strict=True))
    for place, client in enumerate(some.clients.tolist()):
        items = local.get(client, new["items"]) if table == "local" else new["items"]
        own = {name: value[place] for name, value in private.items()}
        alone = LonelyNeural(own["user"], own, items)
        expected = alone(torch.arange(ITEMS)).detach()
        torch.testing.assert_close(scores[place], expected, atol=1e-5, rtol=1e-4)
