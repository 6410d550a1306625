"""A node is lost in a round of secure sums: those who are left repeat it, and pay for it again."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace

import pytest
import torch
from small_federation import LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.masked_handlers import MaskedHandlers
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.server.handshake import TooFewReplies
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.server.totals import Collected
from ufgraphfr.deploy.wire.message import pack, unpack
from ufgraphfr.privacy.accounted.ledger import Ledger

NAMES = ("node-1", "node-2", "node-3", "node-4")
LOST, LEFT = NAMES[3], NAMES[:3]
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0},
    **{"trust": "secure-sum", "shards": 4, "tolerate": 1, "reserve": 2},
}
SETTINGS = ServerSettings(round_timeout=2.0, startup_timeout=0.1, quorum=0.7)


class Killed(Exception):
    """The server dies."""


@dataclass
class Unreliable(LocalEngine):
    """Nodes do not get some requests; the server may die when it asks."""

    lost: object = lambda *_: False
    dies: object = lambda *_: False
    log: list = field(default_factory=list)

    def ask(self, nodes, requests, round_number, seconds):
        for node in nodes:
            request = requests(node)
            self.log.append(request)
            if self.dies(node, request):
                raise Killed
            if self.lost(node, request):
                self.asked.append((node, pack(request)))
                continue
            yield from super().ask([node], requests, round_number, seconds)


def attempt_of(request):
    return request.facts.get("secure", {}).get("attempt", 0)


def in_round(number, attempt=1, nodes=(LOST,)):
    def lost(node, request):
        asked = request.kind == "train" and request.round == number
        return asked and attempt_of(request) == attempt and node in nodes

    return lost


def masked(path, privacy=PRIVATE, names=NAMES, **changes):
    values = toy_values(
        algorithm={"kind": "fedmf", "dim": 4}, evaluation={"every": 4}, **changes
    ) | {"privacy": privacy}
    federation = federate(path, values, names=names)
    federation.settings = SETTINGS
    return federation


def run(federation, **more):
    engine = Unreliable(federation.agents(), **more)
    return federation.run(engine), engine


def paid(path):
    return [(s["round"], s.get("attempt", 1)) for s in Ledger(path).spends]


def uses(federation, node):
    lines = (federation.shard(node).path / "pads.jsonl").read_text().splitlines()[1:]
    return [json.loads(line) for line in lines]


def check_nothing_twice(federation):
    """No pad and no budget is used twice, at any node."""
    for node in NAMES:
        pads = [(use["kind"], use["round"], use["attempt"]) for use in uses(federation, node)]
        assert len(pads) == len(set(pads))
        spent = paid(federation.shard(node).ledger)
        assert spent == sorted(set(spent))
        assert spent == [pad[1:] for pad in pads if pad[0] == "train"]


def test_those_who_are_left_repeat_the_round_and_each_attempt_is_paid_for(tmp_path):
    federation = masked(tmp_path)
    out, engine = run(federation, lost=in_round(2))
    assert json.loads((out / "result.json").read_text())["best_round"]
    for node in LEFT:
        assert paid(federation.shard(node).ledger) == [(1, 1), (2, 1), (2, 2), (3, 1), (4, 1)]
    # it came back at once, and is asked again from the next round on
    assert paid(federation.shard(LOST).ledger) == [(1, 1), (3, 1), (4, 1)]
    assert paid(out / "ledger.jsonl") == [(1, 1), (2, 1), (2, 2), (3, 1), (4, 1)]
    second = [r for r in engine.log if r.kind == "train" and attempt_of(r) == 2]
    assert {request.node for request in second} == set(LEFT)
    check_nothing_twice(federation)
    page = (out / "privacy.md").read_text()
    assert "a reserve for rounds that those data holders repeat who are left" in page


def test_a_node_that_stays_away_costs_one_attempt_and_is_asked_again_once_it_is_back(tmp_path):
    federation = masked(tmp_path)

    def lost(node, request):
        at = 2 if request.kind == "train" else request.facts.get("settled")
        return (
            node == LOST
            and request.kind in ("train", "hello")
            and request.round in (0, at)
            and (at == 2)
        )

    _, engine = run(federation, lost=lost)
    assert paid(federation.shard(LEFT[0]).ledger) == [(1, 1), (2, 1), (2, 2), (3, 1), (4, 1)]
    asked = [r for r in engine.log if r.node == LOST and r.kind in ("hello", "train")]
    # it does not answer before round 3, and does before round 4
    told = [(request.kind, request.round) for request in asked]
    assert told[1:] == [("train", 1), ("train", 2), ("hello", 0), ("hello", 0), ("train", 4)]
    check_nothing_twice(federation)


@pytest.fixture
def steps(monkeypatch):
    """What each node adds under its mask, with its noise, by node and attempt."""
    found, masked = {}, MaskedHandlers._in_steps

    def kept(self, report, nodes):
        found[self._name, report.round, self.mechanism.attempt] = masked(self, report, nodes)
        return found[self._name, report.round, self.mechanism.attempt]

    monkeypatch.setattr(MaskedHandlers, "_in_steps", kept)
    return found


def test_the_total_of_those_who_are_left_is_exact_to_the_last_integer(tmp_path, steps, monkeypatch):
    totals, read = [], Collected.steps
    monkeypatch.setattr(
        Collected, "steps", lambda self, asked: totals.append(read(self, asked)) or totals[-1]
    )
    run(masked(tmp_path), lost=in_round(2))
    assert len(totals) == 4
    for number, attempt, nodes in ((1, 1, NAMES), (2, 2, LEFT), (3, 1, NAMES)):
        for name, value in totals[number - 1].items():
            assert torch.equal(value, sum(steps[node, number, attempt][name] for node in nodes))
    for name in totals[0]:
        # the share of an attempt is drawn anew, and never sent under two lists of nodes
        first, second = (steps[LEFT[0], 2, attempt][name] for attempt in (1, 2))
        assert not torch.equal(first, second)


def test_the_shares_of_those_who_are_left_are_all_of_the_noise_without_one_who_colludes(
    tmp_path, monkeypatch
):
    drawn = []

    def noise(count, sigma, *_):
        drawn.append(sigma)
        return torch.zeros(count, dtype=torch.int64)

    monkeypatch.setattr("ufgraphfr.privacy.central_jdp.secure_noise", noise)
    run(masked(tmp_path), lost=in_round(2))
    # of three nodes one may collude, so two shares are the noise that is paid for
    assert [round((drawn[0] / sigma) ** 2 * 3) for sigma in drawn] == [3] * 7 + [2] * 3 + [3] * 8


@pytest.mark.slow
def test_a_reserve_is_in_the_noise_from_the_start(tmp_path):
    with_reserve = masked(tmp_path / "a")
    without = masked(tmp_path / "b", PRIVATE | {"reserve": 0})
    noise = []
    for federation in (with_reserve, without):
        run(federation)
        part = Ledger(federation.shard(NAMES[0]).ledger).guarantee["parts"]["update"]
        noise.append(part["noise_multiplier"])
        assert part["releases"] == part["participations"] == 4 + part.get("repeats", 0)
    # six releases may be paid for, where four are without a reserve
    assert noise[0] / noise[1] == pytest.approx((6 / 4) ** 0.5, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [(LOST, LEFT[0]), (LOST,)])
def test_a_round_waits_where_too_few_are_left_or_the_reserve_is_spent(nodes, tmp_path):
    federation = masked(tmp_path, PRIVATE | {"reserve": 1})

    def lost(node, request):
        return node in nodes and (in_round(2, 1, nodes)(node, request) or request.round == 4)

    said = "too few are left" if len(nodes) == 2 else "the reserve for repetitions is spent"
    with pytest.raises(TooFewReplies, match=f"{said}.*then resume"):
        run(federation, lost=lost)
    out, _ = run(federation)
    assert (out / "result.json").exists()
    check_nothing_twice(federation)


def test_of_three_nodes_two_cannot_repeat_a_round(tmp_path):
    federation = masked(tmp_path, PRIVATE | {"shards": 3}, NAMES[:3])
    with pytest.raises(TooFewReplies, match=r"node-3 .* too few are left to repeat the round"):
        run(federation, lost=in_round(2, 1, ("node-3",)))


def test_masks_alone_have_no_reserve(tmp_path):
    with pytest.raises(InputError, match="reserve"):
        masked(tmp_path, {"kind": "secure-sum", "shards": 4, "reserve": 1})


def test_a_second_loss_is_a_third_attempt_of_five_nodes(tmp_path):
    names = (*NAMES, "node-5")
    federation = masked(tmp_path, PRIVATE | {"shards": 5}, names)
    federation.settings = SETTINGS.model_copy(update={"quorum": 0.5})

    def lost(node, request):
        first, second = in_round(2, 1, ("node-5",)), in_round(2, 2, ("node-4",))
        return first(node, request) or second(node, request)

    out, _ = run(federation, lost=lost)
    assert paid(out / "ledger.jsonl")[1:4] == [(2, 1), (2, 2), (2, 3)]
    assert paid(federation.shard("node-4").ledger)[:3] == [(1, 1), (2, 1), (3, 1)]
    assert [use["nodes"] for use in uses(federation, "node-1") if use["attempt"] == 3][-1] == [
        *LEFT
    ]


def test_a_node_that_is_lost_while_lists_are_confirmed_costs_nothing_more(tmp_path):
    names = (*NAMES, "node-5")
    federation = masked(tmp_path, PRIVATE | {"shards": 5}, names)
    federation.settings = SETTINGS.model_copy(update={"quorum": 0.5})

    def lost(node, request):
        confirming = request.kind == "confirm" and attempt_of(request) == 2 and node == "node-4"
        return confirming or in_round(2, 1, ("node-5",))(node, request)

    out, _ = run(federation, lost=lost)
    assert paid(out / "ledger.jsonl")[1:3] == [(2, 1), (2, 3)]
    assert paid(federation.shard("node-1").ledger)[1:3] == [(2, 1), (2, 3)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "attempt", "place"),
    [("confirm", 2, 2), ("train", 2, 0), ("train", 2, 2)],
)
def test_a_server_that_dies_while_a_round_is_repeated_goes_on_with_it(
    kind, attempt, place, tmp_path
):
    federation, dead = masked(tmp_path), []

    def dies(node, request):
        here = (request.kind, attempt_of(request), node) == (kind, attempt, NAMES[place])
        if here and request.round == 2 and not dead:
            dead.append(node)
            return True
        return False

    with pytest.raises(Killed):
        run(federation, lost=in_round(2), dies=dies)
    out, _ = run(federation, lost=in_round(2))
    assert paid(out / "ledger.jsonl") == [(1, 1), (2, 1), (2, 2), (3, 1), (4, 1)]
    check_nothing_twice(federation)


KILLED = """
import os, signal, sys
from pathlib import Path
from ufgraphfr.deploy.agent import pad_book
from ufgraphfr.deploy.agent.shard import Agent, ShardFolder
from ufgraphfr.privacy.accounted import ledger
agent, where, when = Agent(ShardFolder(Path(sys.argv[1]))), *sys.argv[2].split()
module = {"pads": pad_book, "ledger": ledger}[where]
write = module.append_line
def killed(path, line):
    if when == "after":
        write(path, line)
    os.kill(os.getpid(), signal.SIGKILL)
module.append_line = killed
agent.answer([Path(name).read_bytes() for name in sys.argv[3:]])
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["pads after", "ledger before"])
def test_an_agent_that_is_killed_in_a_later_attempt_sends_one_reply(when, tmp_path):
    federation = masked(tmp_path / "d")

    def dies(node, request):
        return request.kind == "train" and attempt_of(request) == 2 and node == NAMES[1]

    def lost(node, request):
        return in_round(2)(node, request) or in_round(2, 2, (NAMES[0],))(node, request)

    engine = Unreliable(federation.agents(), lost=lost, dies=dies)
    with pytest.raises(Killed):
        federation.run(engine)
    node, request = engine.asked[-1]
    assert (node, attempt_of(unpack(request))) == (NAMES[0], 2)
    files = [tmp_path / str(place) for place, _ in enumerate(request)]
    for path, chunk in zip(files, request, strict=True):
        path.write_bytes(chunk)
    command = [sys.executable, "-c", KILLED, str(federation.shard(node).path), when]
    done = subprocess.run([*command, *map(str, files)], check=False)
    assert done.returncode == -signal.SIGKILL
    out, _ = run(federation, lost=in_round(2))
    assert paid(out / "ledger.jsonl") == [(1, 1), (2, 1), (2, 2), (3, 1), (4, 1)]
    check_nothing_twice(federation)


@pytest.fixture
def repeated(tmp_path):
    """A federation after round 2, whose requests of both attempts are known, by node."""
    federation, asked = masked(tmp_path, PRIVATE | {"reserve": 4}), {}
    engine = Unreliable(federation.agents(), lost=in_round(2))
    federation.run(engine, stop_after=2)
    for request in engine.log:
        if request.round == 2:
            asked[request.node, request.kind, attempt_of(request)] = request
    return federation, asked


def answer(federation, request):
    reply = unpack(Agent(federation.shard(request.node)).answer(pack(request)))
    line = federation.shard(request.node).audit.read_text().splitlines()[-1]
    return reply, json.loads(line)["reason"]


def secure(request, **changes):
    facts = request.facts["secure"] | changes
    return replace(request, facts=request.facts | {"secure": facts}, nonce="another")


def epochs(request, *nodes):
    return {node: request.facts["secure"]["epochs"][node] for node in nodes}


NODE = NAMES[0]


def test_the_same_attempt_gets_the_same_bytes_and_the_one_before_nothing(repeated):
    federation, asked = repeated
    second, first = asked[NODE, "train", 2], asked[NODE, "train", 1]
    again, _ = answer(federation, second)
    assert again.code == "ok"
    assert answer(federation, second)[0].parts == again.parts
    assert answer(federation, first)[0].code == "refused"


def test_a_second_list_for_an_attempt_is_refused(repeated):
    """The same round twice, with another list: neither confirmed nor answered."""
    federation, asked = repeated
    confirm, every = asked[NODE, "confirm", 2], asked[NODE, "train", 1]
    other = secure(confirm, epochs=epochs(every, NODE, "node-2", "node-4"))
    assert answer(federation, other)[0].code == "refused"
    train = secure(asked[NODE, "train", 2], epochs=epochs(every, NODE, "node-2", "node-4"))
    assert answer(federation, train)[0].code == "refused"
    assert paid(federation.shard(NODE).ledger) == [(1, 1), (2, 1), (2, 2)]


def test_lists_that_differ_between_nodes_are_answered_by_none(tmp_path):
    """Confirmed by everybody, but not the same by all: each node sees it in the confirmations."""
    names = (*NAMES, "node-5")
    federation = masked(tmp_path, PRIVATE | {"shards": 5, "reserve": 4}, names)
    federation.settings = SETTINGS.model_copy(update={"quorum": 0.5})
    engine = Unreliable(federation.agents(), dies=lambda _, r: r.round == 2 and r.kind != "train")
    engine.lost = in_round(2, 1, ("node-5",))
    with pytest.raises(Killed):
        federation.run(engine)
    first = {r.node: r for r in engine.log if r.kind == "train" and r.round == 2}
    lists = dict.fromkeys(LEFT[:2], ("node-1", "node-2", "node-3"))
    lists |= {"node-3": ("node-1", "node-3", "node-4"), "node-4": ("node-1", "node-3", "node-4")}
    said = {}
    for node, own in lists.items():
        asked = secure(
            replace(first[node], kind="confirm", parts=()),
            attempt=2,
            epochs=epochs(first[node], *own),
        )
        reply, _ = answer(federation, asked)
        assert reply.code == "ok"
        said[node] = reply.facts["confirms"]
    for node, own in lists.items():
        confirmed = {other: said[other].get(node, "0" * 64) for other in own if other != node}
        train = secure(
            first[node],
            attempt=2,
            epochs=epochs(first[node], *own),
            confirmed=confirmed,
        )
        reply, reason = answer(federation, train)
        assert (reply.code, "has not confirmed" in reason) == ("refused", True)
        assert paid(federation.shard(node).ledger) == [(1, 1), (2, 1)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r, _: secure(r, attempt=3), "not those which are left"),
        (lambda r, _: secure(r, attempt=True), "no such attempt"),
        (lambda r, _: secure(r, attempt=0), "no such attempt"),
        (lambda r, _: replace(secure(r, attempt=2), round=3), "follows on no answer"),
        (lambda r, other: replace(r, parts=(r.parts[0], other.parts[1])), "were used"),
    ],
)
def test_a_later_attempt_that_does_not_follow_is_refused(change, said, repeated):
    federation, asked = repeated
    reply, reason = answer(federation, change(asked[NODE, "train", 2], asked["node-2", "train", 2]))
    assert reply.code == "refused"
    assert said in reason


def test_a_later_attempt_asks_the_same_question_and_is_confirmed_by_all(tmp_path):
    federation = masked(tmp_path)
    engine = Unreliable(federation.agents(), lost=in_round(2))
    engine.dies = lambda _, request: request.kind == "train" and attempt_of(request) == 2
    with pytest.raises(Killed):
        federation.run(engine)
    second = engine.log[-1]
    other = next(r for r in engine.log if (r.kind, r.round, r.node) == ("train", 2, "node-2"))
    assert second.node == NODE
    for request, said in (
        (replace(second, parts=(second.parts[0], other.parts[1])), "asks for something else"),
        (secure(second, confirmed={}), "node-2 has not confirmed"),
        (secure(second, confirmed=None), "node-2 has not confirmed"),
        (secure(second, confirmed=dict.fromkeys(LEFT, "0" * 64)), "node-2 has not confirmed"),
    ):
        reply, reason = answer(federation, request)
        assert (reply.code, said in reason) == ("refused", True), reason
    assert paid(federation.shard(NODE).ledger) == [(1, 1), (2, 1)]
    assert answer(federation, second)[0].code == "ok"
