"""What every algorithm owes, whoever wrote it: each new file in algorithms/ is tested here too."""

from dataclasses import replace

import pytest
import torch

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import combine
from ufgraphfr.core.spec import parse
from ufgraphfr.federation import codec
from ufgraphfr.federation.client import Client, Request
from ufgraphfr.privacy.none import NoMechanism

ALONE = {"local-only"}
"""Who shares nothing cannot know that an item it never saw is of its own colour."""


@pytest.fixture(params=ALGORITHMS.kinds)
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    return ALGORITHMS.build(request.param, {}, "[algorithm]")


def withheld_rank(federation) -> torch.Tensor:
    """Each user's rank of the withheld item of its colour, among it and the other colour."""
    scores = federation.scores()
    own = torch.arange(len(scores))
    other = (own[:, None] + own[None, :]) % 2 == 1
    return 1 + ((scores > scores[own, own][:, None]) & other).sum(1)


def test_it_learns_the_checkerboard(algorithm, checkerboard, federation_of) -> None:
    before = (withheld_rank(federation_of(algorithm, checkerboard)) == 1).float().mean()
    after = withheld_rank(federation_of(algorithm, checkerboard).run(100))
    found = (after == 1).float().mean()
    assert before < 0.5
    if algorithm.kind in ALONE:
        assert found < 0.5
    else:
        assert found >= 0.9


@pytest.mark.parametrize("chunk", [1, 7])
def test_chunks_change_nothing(algorithm, checkerboard, federation_of, chunk: int) -> None:
    whole = federation_of(algorithm, checkerboard).run(3)
    parts = federation_of(algorithm, checkerboard).run(3, chunk=chunk)
    torch.testing.assert_close(parts.scores(), whole.scores(), rtol=1e-5, atol=1e-5)


def test_the_same_run_is_equal_to_the_bit(algorithm, checkerboard, federation_of) -> None:
    first = federation_of(algorithm, checkerboard).run(3, chunk=7)
    second = federation_of(algorithm, checkerboard).run(3, chunk=7)
    assert torch.equal(first.scores(), second.scores())


def test_another_seed_is_another_run(algorithm, checkerboard, federation_of) -> None:
    first = federation_of(algorithm, checkerboard, seed=3).run(2)
    second = federation_of(algorithm, checkerboard, seed=4).run(2)
    assert not torch.equal(first.scores(), second.scores())


def test_the_order_of_answers_changes_nothing(algorithm, checkerboard, federation_of) -> None:
    federation = federation_of(algorithm, checkerboard).run(1)
    states = []
    for order in (checkerboard.clients, checkerboard.clients.flip(0)):
        reports = []
        for clients in order.split(5):
            task = algorithm.broadcast(federation.state, clients, 2)
            mine = federation.store.gather(clients)
            batch = checkerboard.select(clients)
            task = replace(task, aggregation=algorithm.aggregation)
            request = Request(task, batch, mine, Key(3, round=2))
            reports.append(Client(algorithm, NoMechanism()).respond(request)[0])
        states.append(algorithm.aggregate(federation.state, combine(reports)))
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-5, atol=1e-5)


def test_stopping_and_going_on_is_one_run(algorithm, checkerboard, federation_of) -> None:
    whole = federation_of(algorithm, checkerboard).run(4)
    halves = federation_of(algorithm, checkerboard).run(2)
    halves.run(2, first=3)
    assert torch.equal(halves.scores(), whole.scores())


def test_clients_that_sit_out_keep_their_weights(algorithm, checkerboard, federation_of) -> None:
    federation = federation_of(algorithm, checkerboard)
    before = {name: value.clone() for name, value in federation.store.weights.items()}
    federation.run(1, cohort=5)
    for name, value in federation.store.weights.items():
        changed = (value != before[name]).flatten(1).any(1)
        assert int(changed.sum()) in (0, 5), name


def test_messages_survive_their_bytes(algorithm, checkerboard, federation_of) -> None:
    federation = federation_of(algorithm, checkerboard).run(1)
    clients = checkerboard.clients[:4]
    task = algorithm.broadcast(federation.state, clients, 2)
    task = replace(task, aggregation=algorithm.aggregation)
    again = codec.decode_task(codec.encode_task(task), task.aggregation)
    mine, batch = federation.store.gather(clients), checkerboard.select(clients)
    client, key = Client(algorithm, NoMechanism()), Key(3, round=2)
    direct, _ = client.respond(Request(task, batch, mine, key))
    through, _ = client.respond(Request(again, batch, mine, key))
    decoded = codec.decode_report(codec.encode_report(through))
    assert decoded.aggregation is direct.aggregation is algorithm.aggregation
    assert torch.equal(decoded.clients, direct.clients)
    for name, value in direct.arrays.items():
        torch.testing.assert_close(
            decoded.arrays[name].dense(), value.dense(), rtol=1e-5, atol=1e-6
        )


def test_local_training_leaves_its_arguments_alone(algorithm, checkerboard, federation_of) -> None:
    federation = federation_of(algorithm, checkerboard).run(1)
    task = algorithm.broadcast(federation.state, checkerboard.clients, 2)
    mine = federation.store.gather(checkerboard.clients)
    before = {name: value.clone() for name, value in mine.items()}
    state = {name: value.clone() for name, value in federation.state.items()}
    request = Request(task, checkerboard, mine, Key(3, round=2))
    report, _ = Client(algorithm, NoMechanism()).respond(request)
    algorithm.aggregate(federation.state, report)
    assert all(torch.equal(mine[name], value) for name, value in before.items())
    assert all(torch.equal(federation.state[name], value) for name, value in state.items())


def test_hyper_parameters_survive_a_round_trip(algorithm) -> None:
    values = algorithm.model_dump(mode="json")
    assert parse(type(algorithm), values, "[algorithm]") == algorithm


def test_a_user_without_history_can_be_scored(algorithm, checkerboard, federation_of) -> None:
    federation = federation_of(algorithm, checkerboard).run(1)
    empty = checkerboard.with_history(
        torch.zeros(len(checkerboard) + 1, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    )
    task = scoring_task(algorithm, federation.state, empty.clients, 2)
    scores = algorithm.score(task, empty, federation.store.gather(empty.clients))
    assert scores.shape == (len(empty), empty.n_items)
    assert bool(scores.isfinite().all())


def test_what_lasts_is_the_same_in_every_later_message(
    algorithm, checkerboard, federation_of
) -> None:
    kept = federation_of(algorithm, checkerboard).cacheable(12)
    if algorithm.kind == "ufgraphformer":
        assert {"features", "graph.counts"} <= kept.keys()
