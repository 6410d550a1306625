"""An agent answers what was agreed on, once, and refuses everything else without a word."""

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_federation import NODES, federate, toy_values

from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.core.arrays.quantised import Quantised
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import Aggregation, Task
from ufgraphfr.deploy.agent.asked_weights import MAX_CHOICES
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.wire.message import Envelope, Malformed, matched, pack, unpack
from ufgraphfr.deploy.wire.payload import (
    decode_arrays,
    digest,
    encode_arrays,
    encode_personal,
    shared_arrays,
)
from ufgraphfr.federation import codec
from ufgraphfr.ops.blend import coefficients
from ufgraphfr.ops.fusion import STRONGEST

NODE = NODES[0]
FEDMF = {"kind": "fedmf", "dim": 4, "lr": 0.05}


@pytest.fixture
def fedmf(tmp_path):
    """An algorithm with private weights, whose server sends one table to all."""
    return federate(tmp_path / "fedmf", toy_values(algorithm=FEDMF))


def setting_of(federation):
    return federation.agreement.setting(federation.catalogue, embed_titles=True)


def train(federation, number=1, clients=(0, 3, 4), **changes):
    """A request as the server makes it."""
    algorithm = federation.agreement.algorithm
    state = algorithm.init_server(setting_of(federation))
    task = algorithm.broadcast(state, torch.tensor(clients), number)
    return of(federation, task, **changes)


def of(federation, task, **changes):
    """The request of a task; ``facts`` are added to those that it needs."""
    arrays = shared_arrays(task)
    facts = {"shared": {name: digest(value) for name, value in arrays.items()}}
    asked = Envelope("train", federation.agreement.digest, "run", task.round, NODE, "nonce")
    parts = (encode_arrays(arrays), encode_personal(task))
    facts |= changes.pop("facts", {})
    return replace(asked, **({"parts": parts, "facts": facts} | changes))


def ask(agent, request):
    return unpack(agent.answer(pack(request)))


def reasons(federation):
    lines = federation.shard(NODE).audit.read_text().splitlines()
    return [json.loads(line)["reason"] for line in lines]


def test_a_reply_is_one_sum_for_the_whole_shard(fedmf):
    reply = ask(Agent(fedmf.shard(NODE)), train(fedmf))
    assert (reply.code, reply.nonce) == ("ok", "nonce")
    report = codec.decode_report(reply.parts[0])
    assert report.aggregation is Aggregation.SUM
    assert report.clients.tolist() == [0, 3, 4]
    (table,) = report.sums.values()
    assert table.shape == (40, 4)


LEAN = """
import sys
from pathlib import Path
from small_federation import LocalEngine, federate, toy_values
training = {"kind": "ufgraphformer", "training": {"local_steps": 2}}
federation = federate(Path(sys.argv[1]), toy_values(algorithm=training))
federation.run(LocalEngine(federation.agents()))
print(sorted({"scipy", "sympy", "torch._dynamo"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_what_an_agent_does_not_need_is_not_in_its_memory(tmp_path):
    """Without a guarantee: no accountant with scipy, and no compiler, 130 MB together."""
    command = [sys.executable, "-c", LEAN, str(tmp_path / "d")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_same_question_gets_the_same_answer_and_trains_nobody_twice(fedmf):
    agent = Agent(fedmf.shard(NODE))
    first = ask(agent, train(fedmf))
    store = ShardStore(fedmf.shard(NODE).database)
    before = store.weights("run", 2, torch.tensor([0, 3, 4]))
    # also by an agent that was killed in between
    again = ask(Agent(fedmf.shard(NODE)), train(fedmf, nonce="other"))
    assert again.parts == first.parts
    assert again.nonce == "other"
    after = store.weights("run", 2, torch.tensor([0, 3, 4]))
    for user, weights in before.items():
        for name, value in weights.items():
            assert torch.equal(after[user][name], value)


def test_another_question_for_an_answered_round_is_refused(fedmf):
    agent = Agent(fedmf.shard(NODE))
    ask(agent, train(fedmf))
    reply = ask(agent, train(fedmf, clients=(0, 3, 5)))
    assert (reply.code, reply.parts) == ("refused", ())
    assert "another request for a round that was answered" in reasons(fedmf)


def large(federation, number=2, left_out=False):
    """A round of the Transformer, whose operators an agent keeps; they may be left out."""
    algorithm = federation.agreement.algorithm
    state = algorithm.init_server(setting_of(federation))
    request = of(federation, algorithm.broadcast(state, torch.tensor([0, 3]), number))
    rest = {} if left_out else shared_arrays(algorithm.broadcast(state, torch.tensor([0]), number))
    return replace(request, parts=(encode_arrays(rest), request.parts[1]))


@pytest.fixture
def remembering(tmp_path, monkeypatch):
    monkeypatch.setattr("ufgraphfr.deploy.wire.payload.MIN_CACHED_BYTES", 0)
    values = toy_values()
    return federate(tmp_path / "remembering", values)


def test_what_was_sent_once_may_be_left_out(remembering):
    first = ask(Agent(remembering.shard(NODE)), large(remembering))
    # the same question, also by its digest
    again = ask(Agent(remembering.shard(NODE)), large(remembering, left_out=True))
    assert again.parts == first.parts
    later = ask(Agent(remembering.shard(NODE)), large(remembering, 3, left_out=True))
    assert later.code == "ok"


def test_what_is_not_here_any_more_is_asked_for(remembering):
    agent = Agent(remembering.shard(NODE))
    assert ask(agent, large(remembering, left_out=True)).code == "missing"
    ask(agent, large(remembering))
    for path in remembering.shard(NODE).public.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert ask(agent, large(remembering, 3, left_out=True)).code == "missing"


def test_other_arrays_than_named_are_refused(remembering):
    asked = large(remembering)
    named = dict.fromkeys(asked.facts["shared"], "0" * 64)
    reply = ask(Agent(remembering.shard(NODE)), replace(asked, facts={"shared": named}))
    assert reply.code == "refused"
    assert "another array than the request names" in reasons(remembering)


@pytest.mark.parametrize("rounded", ["bfloat16", "int8", "int4"])
def test_a_sum_travels_as_coarse_as_agreed(rounded, tmp_path):
    sent = {}
    for name in ("float32", rounded):
        values = toy_values(algorithm=FEDMF, federation={"upload": {"codec": name}})
        made = federate(tmp_path / name, values)
        sent[name] = codec.decode_report(ask(Agent(made.shard(NODE)), train(made)).parts[0])
    (plain,), (coarse,) = (report.arrays.values() for report in sent.values())
    assert isinstance(coarse, Quantised) is rounded.startswith("int")
    (exact,), (wide,) = (report.sums.values() for report in sent.values())
    assert torch.equal(exact, plain.dense()[0])
    assert not torch.equal(exact, wide)
    torch.testing.assert_close(exact, wide, rtol=0, atol=float(exact.abs().max()) / 6)


def test_a_settled_round_is_never_answered_again(fedmf):
    agent = Agent(fedmf.shard(NODE))
    ask(agent, train(fedmf))
    ask(agent, train(fedmf, number=2, facts={"settled": 1, "best": 1}))
    assert ask(agent, train(fedmf)).code == "refused"
    assert "round 1 of this run is settled" in reasons(fedmf)


def test_private_weights_of_the_best_and_of_the_last_round_are_kept(fedmf):
    agent = Agent(fedmf.shard(NODE))
    for number in (1, 2, 3):
        done = number - 1
        facts = {"settled": done, "best": min(done, 1)}
        assert ask(agent, train(fedmf, number=number, facts=facts)).code == "ok"
    ask(agent, train(fedmf, number=4, clients=(1,), facts={"settled": 3, "best": 1}))
    db = sqlite3.connect(fedmf.shard(NODE).database)
    kept = db.execute("SELECT round FROM private WHERE user = 0 ORDER BY round").fetchall()
    assert kept == [(1,), (3,)]


@pytest.mark.parametrize(
    "change",
    [
        {"agreement": "0" * 64},
        {"node": NODES[1]},
        {"kind": "upload"},
        {"round": 5},
        {"round": 0},
        {"round": 2},
        {"parts": ()},
        {"parts": (b"", b"")},
        {"facts": {"settled": 9}},
        {"facts": {"settled": "1"}},
        {"facts": {"best": 1}},
        {"code": "failed"},
    ],
    ids=str,
)
def test_what_was_not_agreed_on_is_refused_in_silence(change, federation):
    agent = Agent(federation.shard(NODE))
    reply = ask(agent, train(federation, **change))
    assert (reply.code, reply.parts, reply.facts) == ("refused", (), {})
    assert reasons(federation)[-1]


def spoilt(name, value):
    """A task of round 2 with another array in it."""

    def made(federation):
        algorithm = federation.agreement.algorithm
        state = algorithm.init_server(setting_of(federation))
        task = algorithm.broadcast(state, torch.tensor([0, 1]), 2)
        found = value(task.shared["net"]) if callable(value) else value
        return of(federation, replace(task, shared=task.shared | {name: found}))

    return made


@pytest.mark.parametrize(
    "request_of",
    [
        spoilt("net", lambda net: net[:-1]),
        spoilt("net", lambda net: net.double()),
        spoilt("net", lambda net: net.index_fill(0, torch.tensor([5]), float("nan"))),
        spoilt("net", lambda net: net.index_fill(0, torch.tensor([5]), float("inf"))),
        spoilt("raw", torch.zeros(1)),
        lambda federation: train(federation, number=2, clients=(0, 0, 1)),
        lambda federation: train(federation, number=2, clients=()),
        # those of the other node alone
        lambda federation: train(federation, number=2, clients=(20, 21)),
        lambda federation: of(federation, Task(2, torch.tensor([0]), {}, {})),
    ],
)
def test_arrays_that_the_agreed_algorithm_does_not_send_are_refused(request_of, federation):
    assert ask(Agent(federation.shard(NODE)), request_of(federation)).code == "refused"


def test_too_few_users_let_nothing_leave(federation):
    path = federation.shard(NODE).agreement
    larger = replace(federation.agreement, min_users=4)
    larger.write(path)
    asked = train(replace(federation, agreement=larger), clients=(0, 3, 4))
    assert ask(Agent(federation.shard(NODE)), asked).code == "refused"
    enough = train(replace(federation, agreement=larger), clients=(0, 3, 4, 5))
    assert ask(Agent(federation.shard(NODE)), enough).code == "ok"


def test_metrics_leave_only_if_that_was_agreed(federation):
    silent = replace(federation.agreement, metrics="none")
    silent.write(federation.shard(NODE).agreement)
    federation = replace(federation, agreement=silent)
    agent = Agent(federation.shard(NODE))
    asked = train(federation, kind="evaluate", facts={"part": "validation"})
    assert ask(agent, asked).code == "refused"
    assert "the agreement lets no metrics leave" in reasons(federation)


def evaluation(federation, weights, part="validation"):
    """A request for sums at some weights of the blend, after round 2, which is evaluated."""
    algorithm, clients = federation.agreement.algorithm, torch.arange(20)
    state = algorithm.init_server(setting_of(federation))
    request = of(federation, scoring_task(algorithm, state, clients, 3), round=2)
    facts = request.facts | {"part": part}
    parts = (*request.parts, encode_arrays(weights))
    return replace(request, kind="evaluate", facts=facts, parts=parts)


def widths(federation):
    """How many coefficients are fitted, and how many numbers a blend has."""
    algorithm, setting = federation.agreement.algorithm, setting_of(federation)
    fixed = algorithm.fixed_blends(setting)
    return coefficients(fixed, algorithm.priors).shape[1], fixed.shape[1]


def test_a_fit_gets_sums_at_the_weights_that_it_names(federation):
    parts, blend = widths(federation)
    agent = Agent(federation.shard(NODE))
    found = []
    for scale in (0.0, 1.0):
        fit = torch.full((3, parts), scale, dtype=torch.float64)
        reply = ask(agent, evaluation(federation, {"fit": fit}))
        found.append(decode_arrays(reply.parts[0]))
    assert {name: value.shape for name, value in found[0].items()} == {
        "loss": (3,),
        "gradient": (3, parts),
        "hessian": (3, parts, parts),
    }
    # the third fit is to the users of both halves
    for name, value in found[0].items():
        torch.testing.assert_close(value[0] + value[1], value[2])
        assert not torch.equal(value, found[1][name])
    reply = ask(agent, evaluation(federation, {"choices": torch.ones(2, 5, blend)}))
    assert decode_arrays(reply.parts[0])["sums"].shape[0] == 5


def test_what_a_server_chooses_from_is_not_too_much_for_an_agent(federation):
    algorithm, setting = federation.agreement.algorithm, setting_of(federation)
    blends = 1 + len(algorithm.fixed_blends(setting)) + STRONGEST
    assert blends * len(algorithm.priors) <= MAX_CHOICES


DOUBLE = torch.float64


@pytest.mark.parametrize(
    ("name", "shape", "kind", "value"),
    [
        ("fit", (3, "parts"), torch.float32, 0.0),
        ("fit", (2, "parts"), DOUBLE, 0.0),
        ("fit", (3, "blend"), DOUBLE, 0.0),
        ("fit", (0,), DOUBLE, 0.0),
        ("fit", (3, "parts"), DOUBLE, torch.nan),
        ("choices", (2, 17, "blend"), torch.float32, 1.0),
        ("choices", (2, 0, "blend"), torch.float32, 1.0),
        ("choices", (3, 1, "blend"), torch.float32, 1.0),
        ("choices", (2, "blend"), torch.float32, 1.0),
        ("choices", (2, 1, "blend"), torch.float16, 1.0),
        ("choices", (2, 1, "blend"), torch.float32, torch.inf),
        ("raw", (2, 1, "blend"), torch.float32, 1.0),
    ],
)
def test_weights_that_no_fit_or_choice_has_are_refused(name, shape, kind, value, federation):
    known = dict(zip(("parts", "blend"), widths(federation), strict=True))
    size = [known.get(length, length) for length in shape]
    request = evaluation(federation, {name: torch.full(size, value, dtype=kind)})
    assert ask(Agent(federation.shard(NODE)), request).code == "refused"


def test_weights_of_nothing_are_refused(federation):
    assert ask(Agent(federation.shard(NODE)), evaluation(federation, {})).code == "refused"


def test_a_blend_is_not_chosen_on_the_test(federation):
    choices = {"choices": torch.ones(2, 1, widths(federation)[1])}
    request = evaluation(federation, choices, part="test")
    assert ask(Agent(federation.shard(NODE)), request).code == "refused"


def test_a_forgotten_user_takes_no_further_part(federation):
    store = ShardStore(federation.shard(NODE).database)
    name = store.names()[3]
    assert store.forget(name) > 0
    assert name not in store.names()
    report = codec.decode_report(ask(Agent(federation.shard(NODE)), train(federation)).parts[0])
    assert report.clients.tolist() == [0, 4]
    with pytest.raises(InputError, match="no such user"):
        store.forget(name)


def test_a_forgotten_user_leaves_no_trace_in_the_file(tmp_path):
    federation = federate(tmp_path / "d", toy_values())
    database = federation.shard(NODE).database
    store = ShardStore(database)
    name = "somebody-to-forget"
    rows = store.rows()
    one = replace(
        rows,
        names=(name,),
        clients=rows.clients[:1],
        texts=rows.texts[:1],
        user=rows.user[:0],
        item=rows.item[:0],
        time=None,
    )
    # the node's numbers are all given out: room for one more
    store.add(one, 0, 1000)
    files = [database, database.with_name(f"{database.name}-wal")]
    assert any(name.encode() in path.read_bytes() for path in files)
    store.forget(name)
    assert not any(name.encode() in path.read_bytes() for path in files)


def test_a_number_is_never_given_out_twice(federation):
    store = ShardStore(federation.shard(NODE).database)
    last = store.names()[-1]
    store.forget(last)
    rows = store.rows()
    one = replace(rows, names=("new",), clients=rows.clients[:1], texts=rows.texts[:1])
    one = replace(one, user=rows.user[:0], item=rows.item[:0], time=None)
    with pytest.raises(InputError, match="1 new users, but the agreement leaves this node 0"):
        store.add(one, 0, 15)


def test_adding_again_changes_nothing(federation):
    store = ShardStore(federation.shard(NODE).database)
    assert store.add(store.rows(), 0, 15) == (0, 0)


@pytest.mark.parametrize("untimed", [False, True])
def test_rows_are_read_by_blocks_and_are_the_same(untimed, federation, monkeypatch):
    store = ShardStore(federation.shard(NODE).database)
    if untimed:
        store._db.execute("UPDATE interactions SET time = NULL WHERE row = 7")
    whole = store.rows()
    assert (whole.time is None) == untimed
    monkeypatch.setattr("ufgraphfr.deploy.agent.interactions.ROWS_AT_ONCE", 5)
    for name, value in vars(store.rows()).items():
        assert np.array_equal(value, getattr(whole, name)), name


def test_nothing_of_the_size_of_a_model_is_held_between_two_requests(fedmf):
    agent = Agent(fedmf.shard(NODE))
    assert ask(agent, train(fedmf)).code == "ok"
    (form,) = agent._handlers._models.values()
    arrays = [*form.shared.values(), *(each.dense() for each in form.personal.values())]
    assert arrays
    assert all(each.is_meta for each in arrays)


def test_data_that_cannot_be_used_are_named_here_and_hinted_at_to_the_server(
    federation, monkeypatch
):
    def refuse(*_):
        raise InputError("a secret of this shard")

    monkeypatch.setattr("ufgraphfr.deploy.agent.handlers.read_users", refuse)
    request = train(federation)
    chunks = Agent(federation.shard(NODE)).answer(pack(request))
    with pytest.raises(Malformed, match=r"answered 'failed': .* agent status there says why"):
        matched(request, chunks)
    assert b"secret" not in b"".join(chunks)
    assert reasons(federation)[-1] == "a secret of this shard"


def test_the_audit_log_names_no_user_and_no_item(federation):
    ask(Agent(federation.shard(NODE)), train(federation))
    line = json.loads(federation.shard(NODE).audit.read_text())
    assert set(line) == {
        *("time", "kind", "run", "round", "code", "reason", "seconds", "bytes_down", "bytes_up")
    }
