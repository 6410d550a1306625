"""An agent evaluates what was agreed on, once, and knows one run and one cohort a round."""

from dataclasses import replace

import pytest
import torch
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.deploy.agent.answers import MAX_FIT_ANSWERS
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.wire.message import Envelope, pack, unpack
from ufgraphfr.deploy.wire.payload import digest, encode_arrays, encode_personal, shared_arrays
from ufgraphfr.ops.blend import coefficients

NODE = NODES[0]
EVERYBODY = tuple(range(15))


@pytest.fixture
def plain(tmp_path):
    """An algorithm without a blend; of its four rounds the second and the last are evaluated."""
    return federate(tmp_path / "plain", toy_values(algorithm={"kind": "fedmf", "dim": 4}))


def ask(federation, kind, number, part=None, clients=EVERYBODY, run="run", **changed):
    """A new agent's reply: what it may answer is on the disk."""
    agreement = federation.agreement
    algorithm, asked = agreement.algorithm, torch.tensor(clients)
    state = algorithm.init_server(agreement.setting(federation.catalogue, embed_titles=True))
    if kind == "evaluate":
        task = scoring_task(algorithm, state, asked, number + 1)
    else:
        task = algorithm.broadcast(state, asked, number)
    moved = {name: task.shared[name] + by for name, by in changed.pop("moved", {}).items()}
    task = replace(task, shared=task.shared | moved)
    arrays = shared_arrays(task)
    facts = {"shared": {name: digest(value) for name, value in arrays.items()}}
    facts |= {} if part is None else {"part": part}
    weights = changed.pop("weights", None)
    more = () if weights is None else (encode_arrays(weights),)
    asked = Envelope(kind, agreement.digest, run, number, NODE, "nonce", facts=facts)
    asked = replace(asked, parts=(encode_arrays(arrays), encode_personal(task), *more))
    return unpack(Agent(federation.shard(NODE)).answer(pack(asked)))


def table(federation):
    """The name of the array that another model has other numbers in."""
    algorithm, agreement = federation.agreement.algorithm, federation.agreement
    state = algorithm.init_server(agreement.setting(federation.catalogue, embed_titles=True))
    return next(iter(scoring_task(algorithm, state, torch.tensor([0]), 1).shared))


@pytest.mark.parametrize(
    ("part", "number", "code"),
    [
        ("validation", 0, "refused"),
        ("validation", 1, "refused"),
        ("validation", 2, "ok"),
        ("validation", 4, "ok"),
        ("validation", 5, "refused"),
        ("test", 0, "refused"),
        ("test", 1, "ok"),
        ("test", 5, "refused"),
        ("history", 2, "refused"),
        (None, 2, "refused"),
    ],
)
def test_only_rounds_that_were_agreed_on_are_evaluated(part, number, code, plain):
    assert ask(plain, "evaluate", number, part).code == code


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_second_model_gets_no_sums_and_the_first_gets_the_same(part, plain):
    first = ask(plain, "evaluate", 2, part)
    for by in (1.0, 2.0):
        other = ask(plain, "evaluate", 2, part, moved={table(plain): by})
        assert (other.code, other.parts) == ("refused", ())
    again = ask(plain, "evaluate", 2, part)
    assert (again.code, again.parts) == ("ok", first.parts)


def test_validations_are_one_a_round_and_the_test_is_one_a_run(plain):
    assert [ask(plain, "evaluate", 2, "validation").code for _ in range(2)] == ["ok", "ok"]
    assert ask(plain, "evaluate", 4, "validation", moved={table(plain): 1.0}).code == "ok"
    assert ask(plain, "evaluate", 2, "test").code == "ok"
    assert ask(plain, "evaluate", 4, "test").code == "refused"


def test_a_fit_ends_after_as_many_messages_as_it_needs_about_one_model(federation):
    algorithm = federation.agreement.algorithm
    setting = federation.agreement.setting(federation.catalogue, embed_titles=True)
    fitted = coefficients(algorithm.fixed_blends(setting), algorithm.priors).shape[1]

    def fit(scale, **changed):
        weights = {"fit": torch.full((3, fitted), float(scale), dtype=torch.float64)}
        return ask(federation, "evaluate", 2, "validation", weights=weights, **changed)

    assert fit(0).code == "ok"
    assert fit(1, moved={"blend": 1.0}).code == "refused"
    codes = [fit(scale).code for scale in range(1, MAX_FIT_ANSWERS + 3)]
    assert codes == ["ok"] * (MAX_FIT_ANSWERS - 1) + ["refused"] * 3
    assert fit(0).code == "ok"


@pytest.mark.parametrize("kind", ["hello", "train", "evaluate"])
def test_the_first_message_pins_the_run(kind, plain):
    part = "validation" if kind == "evaluate" else None
    assert ask(plain, kind, 2, part, run="first").code == "ok"
    for other in ("hello", "train", "evaluate"):
        found = ask(plain, other, 4, "validation" if other == "evaluate" else None, run="second")
        assert (found.code, found.parts) == ("refused", ())
    assert ask(plain, "train", 4, run="first").code == "ok"


def test_a_server_that_starts_anew_means_the_run_that_is_pinned(plain):
    out = plain.run(LocalEngine(plain.agents()), stop_after=0)
    plain.folder.server.participants.unlink()
    population = plain.population(LocalEngine(plain.agents()))
    assert len(population.clients) == 30
    assert (out / "result.json").exists()


def test_a_second_cohort_of_a_round_is_refused_also_after_somebody_was_forgotten(plain):
    first = ask(plain, "train", 1)
    store = ShardStore(plain.shard(NODE).database)
    assert ask(plain, "train", 1, clients=EVERYBODY[1:]).code == "refused"
    store.forget(store.names()[3])
    assert ask(plain, "train", 1, clients=EVERYBODY[1:]).code == "refused"
    # a server that lost its reply goes on, without the forgotten one
    again = ask(plain, "train", 1)
    assert again.code == "ok"
    assert again.parts != first.parts


def test_sums_that_hold_a_forgotten_one_are_gone_and_not_given_for_another_model(plain):
    first = ask(plain, "evaluate", 2, "validation")
    store = ShardStore(plain.shard(NODE).database)
    store.forget(store.names()[3])
    assert ask(plain, "evaluate", 2, "validation", moved={table(plain): 1.0}).code == "refused"
    assert ask(plain, "evaluate", 2, "validation").parts != first.parts
