"""Nobody's data go into a part of the model more often than was claimed, whatever a server does."""

import json
import sqlite3
from dataclasses import replace

import pytest
import torch
from small_federation import NODES, LocalEngine, federate, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agreement.guarantee import shard_mechanism
from ufgraphfr.deploy.wire.message import Envelope, pack, unpack
from ufgraphfr.deploy.wire.payload import digest, encode_arrays, encode_personal, shared_arrays
from ufgraphfr.federation import codec
from ufgraphfr.privacy.accounted.accounting import epsilon_of
from ufgraphfr.privacy.accounted.ledger import Ledger

NODE = NODES[0]
ROUNDS, TURNS = 6, 2
CLAIMED = ROUNDS // TURNS


def values(cohort=0.5, sampling="rotation", **privacy):
    changed = toy_values(algorithm={"kind": "fedmf", "dim": 4})
    changed["federation"] = {"rounds": ROUNDS, "cohort": cohort, "sampling": sampling}
    guarantee = {"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0}
    changed["privacy"] = guarantee | {"trust": "shard", "shards": 2} | privacy
    return changed


@pytest.fixture
def rotating(tmp_path):
    return federate(tmp_path / "d", values())


def ask(federation, number, clients, agent=None, run="run"):
    """The node's reply to a server that names whom it likes."""
    agreement = federation.agreement
    algorithm = agreement.algorithm
    state = algorithm.init_server(agreement.setting(federation.catalogue, embed_titles=False))
    task = algorithm.broadcast(state, torch.tensor(clients), number)
    arrays = shared_arrays(task)
    facts = {"shared": {name: digest(value) for name, value in arrays.items()}}
    asked = Envelope("train", agreement.digest, run, number, NODE, "nonce", facts=facts)
    asked = replace(asked, parts=(encode_arrays(arrays), encode_personal(task)))
    return unpack((agent or Agent(federation.shard(NODE))).answer(pack(asked)))


def claimed(federation):
    (part,) = Ledger(federation.shard(NODE).ledger).guarantee["parts"].values()
    return part["participations"]


def took_part(reply):
    return codec.decode_report(reply.parts[0]).clients.tolist()


def test_the_same_users_are_in_as_many_rounds_as_claimed_and_in_no_more(rotating):
    # a new process each round: the counts are on the disk
    codes = [ask(rotating, number, (0, 3, 4)).code for number in range(1, ROUNDS + 1)]
    assert claimed(rotating) == CLAIMED
    assert codes == ["ok"] * CLAIMED + ["refused"] * (ROUNDS - CLAIMED)
    assert len(Ledger(rotating.shard(NODE).ledger).spends) == CLAIMED


def test_only_those_over_the_claim_are_left_out(rotating):
    agent = Agent(rotating.shard(NODE))
    for number in range(1, CLAIMED + 1):
        ask(rotating, number, (0, 3), agent)
    assert took_part(ask(rotating, CLAIMED + 1, (0, 2, 3, 4), agent)) == [2, 4]


def test_a_request_that_comes_again_counts_once(rotating):
    agent = Agent(rotating.shard(NODE))
    first = ask(rotating, 1, (0, 3), agent)
    for _ in range(ROUNDS):
        assert ask(rotating, 1, (0, 3), agent).parts == first.parts
    assert agent._store.participations.count(rotating.agreement.digest, "update", 0) == 1


def test_a_reply_that_fails_counts_for_nobody(rotating, monkeypatch):
    agent = Agent(rotating.shard(NODE))

    def full(*_):
        raise OSError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(agent._store, "keep_reply", full)
        assert ask(rotating, 1, (0, 3), agent).code == "failed"
    assert agent._store.participations.count(rotating.agreement.digest, "update", 0) == 0
    assert ask(rotating, 1, (0, 3), agent).code == "ok"


def test_who_is_forgotten_and_comes_back_has_not_more_turns(rotating):
    agent = Agent(rotating.shard(NODE))
    for number in range(1, CLAIMED + 1):
        ask(rotating, number, (0, 3), agent)
    store, agreement = ShardStore(rotating.shard(NODE).database), rotating.agreement
    rows = store.rows()
    name = store.names()[3]
    store.forget(name)
    own = rows.user == 3
    back = replace(
        rows,
        names=(name,),
        clients=rows.clients[:1],
        texts=rows.texts[3:4],
        user=rows.user[own] * 0,
        item=rows.item[own],
        time=None if rows.time is None else rows.time[own],
    )
    # the toy node's ids are all given out: room for one more
    store.add(back, 0, 1000)
    new = int(store.rows().clients[-1])
    assert new not in rows.clients
    assert store.participations.count(agreement.digest, "update", new) == CLAIMED
    # who never took part still may
    assert took_part(ask(rotating, CLAIMED + 1, (1, 2, new), agent)) == [1, 2]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"cohort": 0.5}, CLAIMED),
        ({"cohort": 0.34}, 2),
        # a number of clients is a share of nobody knows how many
        ({"cohort": 5}, ROUNDS),
        ({"cohort": 5, "participation_cap": 2}, 2),
        ({"cohort": 5, "sampling": "fixed"}, ROUNDS),
        ({"cohort": 1.0}, ROUNDS),
    ],
    ids=str,
)
def test_a_claim_rests_on_what_was_signed_and_never_on_capacity(change, expected, tmp_path):
    federation = federate(tmp_path / "d", values(**change))
    experiment, algorithm = federation.agreement.experiment, federation.agreement.algorithm
    noise = set()
    for capacity in (30, 90):
        ledger = Ledger(None)
        shard_mechanism(experiment, algorithm, capacity, ledger)
        (part,) = ledger.guarantee["parts"].values()
        assert part["participations"] == expected
        noise.add(part["noise_multiplier"])
    assert len(noise) == 1


@pytest.mark.parametrize(("cohort", "privacy"), [(0.5, {}), (10, {"participation_cap": 2})])
def test_an_honest_rotation_asks_nobody_in_vain(cohort, privacy, tmp_path):
    federation = federate(tmp_path / "d", values(cohort=cohort, **privacy))
    out = federation.run(LocalEngine(federation.agents()))
    (part,) = json.loads((out / "result.json").read_text())["privacy"]["parts"].values()
    for node in NODES:
        store = ShardStore(federation.shard(node).database)
        counts = [
            store.participations.count(federation.agreement.digest, "update", client)
            for client in store.rows().clients.tolist()
        ]
        assert set(counts) == {part["participations"]}


def test_a_rotation_that_agents_would_not_follow_ends_before_it_starts(tmp_path):
    federation = federate(tmp_path / "d", values(cohort=10, participation_cap=1))
    with pytest.raises(InputError, match=r"30 clients are here.* asks each 2 times"):
        federation.run(LocalEngine(federation.agents()))
    for node in NODES:
        assert Ledger(federation.shard(node).ledger).spends == []


def of_another_agreement(federation, folder):
    """The same node under a further agreement, with the database that it has."""
    changed = values(cohort=1.0, sampling="fixed", epsilon=2.0)
    changed["federation"]["rounds"] = 1
    later = federate(folder, changed)
    here, there = federation.shard(NODE).database, later.shard(NODE).database
    with sqlite3.connect(here) as old:
        there.unlink(missing_ok=True)
        old.execute("VACUUM INTO ?", (str(there),))
    return later


def test_what_was_spent_on_one_user_adds_up_over_agreements(rotating, tmp_path):
    agent = Agent(rotating.shard(NODE))
    ask(rotating, 1, (0, 3), agent)
    ask(rotating, 2, (0, 4), agent)
    spends = Ledger(rotating.shard(NODE).ledger)
    z = spends.guarantee["parts"]["update"]["noise_multiplier"]
    found = agent._store.participations.spent()
    assert (found.runs, found.unknown, found.delta) == (1, 0, 1e-3)
    assert found.epsilon == pytest.approx(epsilon_of(z / 2**0.5, 1e-3), rel=1e-6)
    later = of_another_agreement(rotating, tmp_path / "later")
    further = Agent(later.shard(NODE))
    reply = ask(later, 1, (0, 1), further, run="later")
    assert reply.code == "ok", later.shard(NODE).audit.read_text()
    other = Ledger(later.shard(NODE).ledger).guarantee["parts"]["update"]["noise_multiplier"]
    both = further._store.participations.spent()
    assert both.runs == 2
    together = (2 / z**2 + 1 / other**2) ** -0.5
    assert both.epsilon == pytest.approx(epsilon_of(together, 1e-3), rel=1e-6)
    assert "over 2 runs" in str(both)


def test_agreements_whose_noise_was_not_kept_are_counted(rotating):
    agent = Agent(rotating.shard(NODE))
    assert agent._store.participations.spent() is None
    agent._store._db.execute("INSERT INTO participations VALUES ('of before', 'update', 0, 7)")
    assert "1 agreements of before did not keep" in str(agent._store.participations.spent())
    ask(rotating, 1, (0, 3), agent)
    found = agent._store.participations.spent()
    assert (found.runs, found.unknown) == (1, 1)
    assert "1 more of before are not in it" in str(found)
