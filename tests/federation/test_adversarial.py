"""Malicious clients in a simulation: who they are, what they do, and what stops them."""

import json
from dataclasses import replace

import pytest
import torch
from narrow import narrow

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.capabilities import asks_all_clients
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import combine
from ufgraphfr.core.spec import parse
from ufgraphfr.data.client_batches import build
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.experiment import build as experiment_of
from ufgraphfr.experiment import execute
from ufgraphfr.federation.adversarial import AdversarialSimulation
from ufgraphfr.federation.adversaries import ADVERSARIES
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.defences.row_cap import RowCap
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.federation.validation.check import RejectedReply, check
from ufgraphfr.federation.validation.expected import Validation
from ufgraphfr.privacy.none import NoMechanism

USERS, ITEMS = 20, 40


@pytest.fixture(scope="module")
def batch():
    split = leave_one_out(Synthetic(users=USERS, items=ITEMS, interactions=8).load().interactions)
    return build(split, torch.nn.functional.normalize(torch.randn(USERS, 6), dim=1))


class Network:
    """Clients of one algorithm, some malicious."""

    def __init__(self, kind, adversary, batch, number=10, **values):
        self.algorithm = ALGORITHMS.build(kind, narrow(kind), "test")
        setting = Setting(ITEMS, USERS, 6, seed=1)
        self.state = self.algorithm.init_server(setting)
        store = PrivateState(self.algorithm.init_private(setting, batch))
        client = Client(self.algorithm, NoMechanism())
        self.honest = Simulation(client, batch, store, chunk=6)
        found = ADVERSARIES.build(adversary, {"share": 0.2, "fillers": 10, **values}, "test")
        self.aim = found.aim(self.algorithm, setting, batch, batch.clients)
        self.clients = AdversarialSimulation(self.honest, found, self.aim)
        self.validation = Validation(client, setting)
        self.aggregator = Aggregator(self.algorithm, setting, per_client=True, defence=RowCap())
        self.everyone = batch.clients
        for done in range(1, number):
            if asks_all_clients(self.algorithm, done):
                task = self.task(batch.clients, done)
                answer = self.honest.answer(task, Key(0, done))
                self.state = self.algorithm.aggregate(self.state, answer)

    def task(self, clients, number):
        task = self.algorithm.broadcast(self.state, clients, number)
        return replace(task, aggregation=self.aggregator.asked(number))

    def ask(self, number=10):
        def task_for(clients):
            return self.task(clients, number)

        expected = self.validation.expected(task_for(self.everyone[:1]), self.everyone)
        for answer in Local().to(self.clients).exchange(task_for, self.everyone, Key(0, number)):
            yield answer.report, expected


@pytest.mark.parametrize("kind", ALGORITHMS.kinds)
@pytest.mark.parametrize("adversary", [a for a in ADVERSARIES.kinds if a != "malformed"])
@pytest.mark.parametrize("number", [1, 10])
def test_forged_replies_keep_to_the_form_so_validation_alone_does_not_stop_them(
    kind, adversary, number, batch
):
    network = Network(kind, adversary, batch, number)
    replies = []
    for report, expected in network.ask(number):
        check(report, expected)
        replies.append(report)
    report = combine(replies)
    assert torch.equal(report.clients, network.everyone)
    after = network.algorithm.aggregate(network.state, network.aggregator.combined([report]))
    for value in after.values():
        assert not value.is_floating_point() or bool(value.isfinite().all())


@pytest.mark.parametrize("kind", ["fedmf", "ufgraphformer", "ufgraphfr"])
def test_honest_clients_answer_as_they_would_alone(kind, batch):
    one, other = (Network(kind, "reverse", batch) for _ in range(2))
    honest = one.everyone[~torch.isin(one.everyone, one.aim.clients)]
    found = {int(c): r for r, _ in one.ask() for c in r.clients}
    alone = other.honest.answer(other.task(honest, 10), Key(0, 10))
    for place, client in enumerate(honest.tolist()):
        report = found[client]
        where = int((report.clients == client).nonzero())
        theirs = report.select(torch.tensor([where])).arrays
        ours = alone.select(torch.tensor([place])).arrays
        for name, value in ours.items():
            found_there = theirs[name].dense()
            torch.testing.assert_close(found_there, value.dense(), atol=1e-5, rtol=1e-5)


def test_every_malformed_reply_is_refused(batch):
    network = Network("fedmf", "malformed", batch, share=0.45)
    refused = set()
    for number in range(1, 9):
        for report, expected in network.ask(number):
            malicious = (
                len(report.clients) != 6 and not torch.isin(report.clients, network.everyone).all()
            )
            try:
                check(report, expected)
            except RejectedReply as rejected:
                refused.add(rejected.reason)
            else:
                assert not malicious
    assert refused >= {"not-finite", "dtype", "shape", "arrays", "round", "client", "loss"}


def test_the_target_is_cold_and_the_fillers_are_popular(batch):
    network = Network("fedmf", "push-row", batch)
    counts = torch.bincount(batch.items, minlength=ITEMS)
    assert counts[network.aim.target] == counts.min()
    assert counts[network.aim.popular].min() >= counts.sort(descending=True).values[10]
    assert len(network.aim.clients) == USERS // 5
    fake = network.clients.adversary.history(batch.select(network.aim.clients), network.aim)
    assert fake.counts.tolist() == [11] * len(network.aim.clients)
    for client in range(len(fake)):
        own = fake.items[fake.ptr[client] : fake.ptr[client + 1]]
        assert network.aim.target in own
        assert len(own.unique()) == len(own)


def test_a_table_without_a_kind_or_with_a_wrong_key_is_refused():
    for values, message in (
        ({"adversary": {"share": 0.1}}, "needs a kind"),
        ({"adversary": {"kind": "push-row", "bost": 2}}, "did you mean 'boost'"),
        ({"defence": {"kind": "krumm"}}, "did you mean 'krum'"),
    ):
        with pytest.raises(InputError, match=message):
            parse(FederationSpec, values, "[federation]")


def attacked(tmp_path, name, defence, adversary="push-row"):
    values = {
        "data": {"kind": "synthetic", "users": 60, "items": 60, "interactions": 10},
        "text": {"kind": "hashing", "width": 16},
        "algorithm": {"kind": "fedmf", "dim": 8},
        "federation": {"rounds": 15, "adversary": {"kind": adversary, "share": 0.1}},
        "evaluation": {"every": 15},
    }
    if defence:
        values["federation"]["defence"] = defence
    for _ in execute(experiment_of(values), tmp_path / name, device="cpu"):
        pass
    return json.loads((tmp_path / name / "result.json").read_text())["attack"]


def test_the_row_cap_is_on_by_default_and_stops_the_push(tmp_path):
    undefended = attacked(tmp_path, "none", {"kind": "none"})
    default = attacked(tmp_path, "default", None)
    assert default["clients"] == 6
    assert undefended["er@10"] > 0.3
    assert default["er@10"] < undefended["er@10"] / 3


def test_malformed_replies_are_counted(tmp_path):
    found = attacked(tmp_path, "run", {"kind": "row-cap", "factor": 1.0}, "malformed")
    assert found["rejected"]["round"] > 0
    assert found["honest"]["full"]["hr@10"] > 0.3
