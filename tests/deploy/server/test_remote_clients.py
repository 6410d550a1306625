"""The server's side: what comes back is believed only when it answers the question."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, one_row
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire.message import pack, unpack
from ufgraphfr.experiment import execute
from ufgraphfr.federation import codec
from ufgraphfr.federation.transport import Rejected
from ufgraphfr.privacy.none import NoMechanism

HALF = ServerSettings(round_timeout=5.0, quorum=0.5, startup_timeout=0.1)
KEY = Key(3, round=2)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return second_round(tmp_path_factory, {})


@pytest.fixture(scope="module", params=[{}, {"upload": {"codec": "int8", "share": 0.5}}], ids=str)
def any_network(tmp_path_factory, request):
    return second_round(tmp_path_factory, request.param)


def second_round(tmp_path_factory, federation):
    """A run's second round, asked again and again; the agents give the same replies each time."""
    # the graph of round 1 is left empty: nothing may be learnt on top of it
    values = toy_values(federation=federation)
    federation = federate(tmp_path_factory.mktemp("d") / "deployment", values)
    engine = LocalEngine(federation.agents())
    population = federation.population(engine, HALF)
    algorithm = federation.agreement.algorithm
    transport = population.begin(algorithm, NoMechanism(), None)
    state = algorithm.init_server(population.setting)
    cohort = population.clients[::3]

    def exchange(changed):
        def task_for(clients):
            task = algorithm.broadcast(state, clients, 2)
            return replace(task, aggregation=algorithm.aggregation)

        engine.changed = changed
        answers = list(transport.exchange(task_for, cohort, KEY))
        return [answer for answer in answers if not isinstance(answer, Rejected)]

    return exchange


def only_second(change):
    """The first node's answer is changed, the second's is not."""

    def changed(node, _number, chunks):
        return change(chunks) if node == NODES[0] else [chunks]

    return changed


def resealed(chunks, payload=None, **header):
    """A reply with other content whose header fits again."""
    found = unpack(chunks)
    parts = found.parts if payload is None else (payload,)
    return [pack(replace(found, parts=parts, **header))]


def report_of(chunks):
    return codec.decode_report(unpack(chunks).parts[0])


def replaced(**changes):
    """A reply whose report is changed and sealed again."""

    def change(chunks):
        report = report_of(chunks)
        fields = {name: getattr(report, name) for name in Report.__dataclass_fields__}
        fields |= {name: value(report) for name, value in changes.items()}
        return resealed(chunks, codec.encode_report(Report(**fields)))

    return change


def gradient(change):
    def arrays(report):
        # as it is on the wire, without a clients axis
        return one_row({**report.sums, "gradient": change(report.sums["gradient"])})

    return replaced(arrays=arrays)


HOSTILE = {
    "nothing": lambda _: [],
    "empty": lambda _: [[]],
    "cut short": lambda chunks: [[chunks[0], chunks[1][:-1]]],
    "without its part": lambda chunks: [chunks[:1]],
    "another nonce": lambda chunks: resealed(chunks, nonce="0" * 32),
    "another round": lambda chunks: resealed(chunks, round=1),
    "another run": lambda chunks: resealed(chunks, run="other"),
    "another node": lambda chunks: resealed(chunks, node=NODES[1]),
    "another kind": lambda chunks: resealed(chunks, kind="evaluate"),
    "another agreement": lambda chunks: resealed(chunks, agreement="0" * 64),
    "failed": lambda chunks: resealed(chunks, code="failed"),
    "noise for a part": lambda chunks: resealed(chunks, b"\x00" * 100),
    "pickle": lambda chunks: resealed(chunks, b"\x80\x04K\x01."),
    "too long": lambda chunks: resealed(chunks, save({"own/gradient": torch.zeros(10**6)})),
    "not a report": lambda chunks: resealed(chunks, save({"x": torch.zeros(1)})),
    "round inside": replaced(round=lambda _: 3),
    "a stranger": replaced(clients=lambda r: r.clients + 1),
    "the other node's": replaced(clients=lambda r: r.clients + 15),
    "twice the same": replaced(clients=lambda r: r.clients[:1].expand(len(r.clients))),
    "nobody": replaced(clients=lambda r: r.clients[:0], loss=lambda r: r.loss[:0]),
    "loss is NaN": replaced(loss=lambda r: r.loss * float("nan")),
    "loss is short": replaced(loss=lambda r: r.loss[1:]),
    "no array": replaced(arrays=lambda _: {}),
    "one more array": replaced(arrays=lambda r: one_row({**r.sums, "raw": torch.zeros(1)})),
    "NaN": gradient(lambda g: g * float("nan")),
    "infinite": gradient(lambda g: g / 0),
    "one short": gradient(lambda g: g[:-1]),
    "one dimension more": gradient(lambda g: g[None]),
    "double": gradient(lambda g: g.double()),
    "half": gradient(lambda g: g.half()),
    "whole": gradient(lambda g: g.long()),
    "not summed": replaced(aggregation=lambda _: Aggregation.PER_CLIENT),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_reply_is_dropped_and_the_round_goes_on(name, network):
    (answer,) = network(only_second(HOSTILE[name]))
    assert int(answer.report.clients.min()) >= 15


def test_a_second_reply_is_dropped(network):
    answers = network(only_second(lambda chunks: [chunks, chunks]))
    assert len(answers) == 2


def test_a_reply_of_an_earlier_round_is_dropped(network):
    kept = []
    network(only_second(lambda chunks: [kept.append(chunks) or chunks]))
    answers = network(only_second(lambda _: [kept[0]]))
    assert len(answers) == 1


def test_honest_replies_are_let_in(any_network):
    answers = any_network(lambda _node, _number, chunks: [chunks])
    assert sorted(len(answer.report.clients) for answer in answers) == [5, 5]


def mutated(chunks, data):
    """A reply in which something was changed; whether its digests fit again is up to chance."""
    chunks = [bytearray(chunk) for chunk in chunks]
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(chunks) - 1))
        if chunks[place]:
            at = data.draw(st.integers(0, len(chunks[place]) - 1))
            chunks[place][at] = (chunks[place][at] + data.draw(st.integers(1, 255))) % 256
    kind = data.draw(st.sampled_from(["as it is", "resealed", "cut", "grown", "swapped"]))
    found = [bytes(chunk) for chunk in chunks]
    if kind == "cut":
        return [found[: data.draw(st.integers(0, 1))]]
    if kind == "grown":
        return [[*found, data.draw(st.binary(max_size=50))]]
    if kind == "swapped":
        return [found[::-1]]
    return [found] if kind == "as it is" else [found[:1], data.draw(st.lists(st.binary()))]


@pytest.mark.slow
@settings(max_examples=250)
@given(st.data())
def test_of_damaged_replies_none_is_let_in(any_network, data):
    answers = any_network(only_second(lambda chunks: mutated(chunks, data)))
    assert all(int(answer.report.clients.min()) >= 15 for answer in answers)


NUMBERS = st.sampled_from(["float16", "float64", "int8", "int32", "int64", "uint8", "bool"])
SHAPES = st.lists(st.integers(0, 4), max_size=3)


NAMES = (
    *("round", "clients", "loss", "summed", "own/gradient", "own/count", "rows/items", "x"),
    *("coarse/8/gradient", "scale/gradient", "shape/gradient", "blocks/gradient"),
    *("coarse/99999999999/gradient", "whole/99999999999/x", "whole/9/x", "count/x"),
)


@pytest.mark.slow
@settings(max_examples=250)
@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.tuples(NUMBERS, SHAPES, st.integers(-2, 3)),
    )
)
def test_of_forged_reports_none_is_let_in(any_network, forged):
    arrays = {
        name: torch.from_numpy(np.full(shape, fill).astype(kind))
        for name, (kind, shape, fill) in forged.items()
    }
    answers = any_network(only_second(lambda chunks: resealed(chunks, save(arrays))))
    assert all(int(answer.report.clients.min()) >= 15 for answer in answers)


def test_below_the_quorum_the_run_stops_and_can_go_on(federation):
    agents = federation.agents()
    engine = LocalEngine(dict(agents))
    federation.run(engine, stop_after=1)
    del engine.agents[NODES[1]]
    with pytest.raises(TooFewReplies, match=r"round 2: 1 of 2 nodes .* quorum is 2"):
        federation.run(engine)
    assert read_metrics(federation.folder.server.metrics)["replies_lost"] == 1
    out = federation.run(LocalEngine(agents))
    assert json.loads((out / "result.json").read_text())["rounds"] == 4


def test_above_the_quorum_the_run_goes_on_without_the_lost_node(federation):
    engine = LocalEngine(federation.agents())
    settings = ServerSettings(round_timeout=5.0, quorum=0.5, startup_timeout=0.1)
    federation.run(engine, settings, stop_after=2)
    del engine.agents[NODES[1]]
    out = federation.run(engine, settings)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["clients"] for line in lines[:2]] == [30, 20]
    assert all(0 < line["clients"] < 20 for line in lines[2:])
    assert json.loads((out / "result.json").read_text())["test"]["full"]["ndcg"] > 0


def test_nobody_comes(federation):
    with pytest.raises(TooFewReplies, match="0 of 2 nodes came within"):
        federation.population(LocalEngine({}))


def test_metrics_that_cannot_be_sums_are_dropped(federation):
    def changed(node, _number, chunks):
        reply = unpack(chunks)
        if reply.kind != "evaluate" or node != NODES[0]:
            return [chunks]
        from ufgraphfr.deploy.wire.payload import decode_arrays

        arrays = decode_arrays(reply.parts[0])
        if "sums" in arrays:
            arrays["sums"] = arrays["sums"] + 100
        else:
            arrays["loss"][0] = torch.nan
        return resealed(chunks, save(arrays))

    engine = LocalEngine(federation.agents(), changed)
    federation.run(engine, HALF)
    metrics = read_metrics(federation.folder.server.metrics)
    kinds = [unpack(chunks).kind for node, chunks in engine.asked if node == NODES[0]]
    assert metrics["replies_rejected"] == kinds.count("evaluate") > 3


@pytest.mark.parametrize("least", [0, 1000, 2**16])
def test_what_a_node_has_is_not_sent_again_and_is_when_it_is_gone(least, federation, monkeypatch):
    """Whatever the size from which on arrays are kept: both sides must mean the same."""
    monkeypatch.setattr("ufgraphfr.deploy.wire.payload.MIN_CACHED_BYTES", least)
    engine = LocalEngine(federation.agents())
    population = federation.population(engine)
    steps = execute(
        federation.agreement.experiment,
        federation.folder.server.run,
        device="cpu",
        population=population,
    )
    for step in steps:
        if step.round == 3:
            for path in federation.shard(NODES[0]).public.glob("*"):
                path.unlink()
    lines = federation.shard(NODES[0]).audit.read_text().splitlines()
    codes = [json.loads(line)["code"] for line in lines]
    assert codes.count("missing") == (1 if least < 2**16 else 0)
    assert set(codes) <= {"ok", "missing"}
    trained = [
        sum(map(len, chunks[1:])) for node, chunks in engine.asked if unpack(chunks).kind == "train"
    ]
    if least == 0:
        # rounds 2 and 3: the operators are sent once
        assert trained[4] < trained[2]
    assert read_metrics(federation.folder.server.metrics)["replies_rejected"] == 0
