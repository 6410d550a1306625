"""Stacked clients and sums of changes against one client at a time, with torch's own layers."""

import pytest
import torch
from lonely_neural import LonelyNeural, train_alone
from made_batches import made_batch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.algorithms.fedncf import FedNCF
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, per_client
from ufgraphfr.core.spec import parse

ITEMS, DIM, SEED = 60, 16, 4
BATCH = made_batch([25, 18, 9, 9, 3, 1], ITEMS)
SETTING = Setting(ITEMS, clients=40, text_width=5, seed=SEED)
KEY = Key(SEED).at(2)
SMALL = {"dim": DIM, "batch_size": 32, "lr": 0.5, "row_scale": 4.0, "user_scale": 6.0}


def made(**values: object) -> FedNCF:
    return parse(FedNCF, SMALL | values, "[algorithm]")


@pytest.mark.parametrize("values", [{}, {"local_epochs": 2}, {"pull": 0.0}, {"server_lr": 2.0}])
def test_a_round_is_the_mean_of_what_each_would_do_alone(values: dict[str, object]) -> None:
    algorithm = made(**values)
    # larger weights than the first ones, so that every layer has something to learn
    state = {k: 3 * v for k, v in algorithm.init_server(SETTING).items()}
    private = {k: 3 * v for k, v in algorithm.init_private(SETTING, BATCH).items()}
    task = algorithm.broadcast(state, BATCH.clients, KEY.round)
    update, after = algorithm.local(task, BATCH, private, KEY)
    own_arrays = per_client(update.arrays)
    report = Report(
        KEY.round, BATCH.clients, own_arrays, Aggregation.PER_CLIENT, update.loss
    ).total()
    new = algorithm.aggregate(state, report)
    change = {name: torch.zeros_like(value) for name, value in state.items()}
    for place in range(len(BATCH)):
        client = LonelyNeural(private["user"][place], state, state["items"])
        one = BATCH.select(torch.tensor([place]))
        train_alone(client, algorithm, one, KEY, anchor=state["items"])
        torch.testing.assert_close(after["user"][place], client.user.data, atol=2e-5, rtol=1e-4)
        for name, value in {"items": client.items.detach(), **client.scorer()}.items():
            own = update.arrays[name]
            own = own.dense() if isinstance(own, Rows) else own
            torch.testing.assert_close(own[place], value - state[name], atol=2e-5, rtol=1e-3)
            change[name] += value - state[name]
    for name, value in state.items():
        expected = value + algorithm.server_lr * change[name] / len(BATCH)
        torch.testing.assert_close(new[name], expected, atol=2e-5, rtol=1e-4)
        assert not torch.equal(new[name], value), name


def test_only_the_user_vector_stays_home() -> None:
    algorithm = made()
    assert algorithm.init_private(SETTING, BATCH).keys() == {"user"}
    users = algorithm.init_private(SETTING, BATCH)["user"]
    assert len(users.unique(dim=0)) == len(BATCH)


def test_ranking_takes_the_servers_table_and_mlp() -> None:
    algorithm = made()
    state = algorithm.init_server(SETTING)
    private = algorithm.init_private(SETTING, BATCH)
    scores = algorithm.score(scoring_task(algorithm, state, BATCH.clients, 1), BATCH, private)
    for place, user in enumerate(private["user"]):
        expected = LonelyNeural(user, state, state["items"])(torch.arange(ITEMS)).detach()
        torch.testing.assert_close(scores[place], expected)
