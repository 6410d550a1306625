"""The loop: who is asked, what the server makes of it, and rounds in which nobody answers."""

import math

import pytest
import torch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphfr import UFGraphFR
from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import build
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.cohort import FederationSpec, draw_cohort
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.privacy.none import NoMechanism

USERS = 20
KEY = Key(11)


class Federation:
    """Clients and server of one algorithm."""

    def __init__(self, algorithm, clients=None):
        split = leave_one_out(Synthetic(users=USERS, items=40, interactions=8).load().interactions)
        batch = build(split, torch.eye(USERS))
        setting = Setting(40, USERS, USERS, seed=1)
        self.algorithm = algorithm
        self.clients = batch.clients if clients is None else clients
        self.state = algorithm.init_server(setting)
        self.store = PrivateState(algorithm.init_private(setting, batch))
        self.aggregator = Aggregator(algorithm, setting)
        client = Client(algorithm, NoMechanism())
        self.simulation = Simulation(client, batch, self.store, chunk=8)

    def run(self, first=1, seen=False, **federation):
        spec = FederationSpec(**federation)
        transport = Local().to(self.simulation)
        args = (self.aggregator, NoMechanism(), transport, spec, self.clients, self.state, KEY)
        done = list(rounds(*args, first=first, seen=seen))
        self.state = done[-1].state if done else self.state
        return done


@pytest.fixture(params=[FedMF(dim=4), UFGraphFR(dim=8)], ids=lambda a: type(a).__name__)
def federation(request):
    return Federation(request.param)


def test_rounds_are_numbered_and_the_loss_falls(federation):
    done = federation.run(rounds=15)
    assert [step.number for step in done] == list(range(1, 16))
    assert {step.clients for step in done} == {USERS}
    assert done[-1].loss < done[0].loss
    for step in done:
        assert min(step.train_seconds, step.aggregate_seconds, step.cpu_seconds) >= 0
        assert min(step.bytes_up, step.bytes_down) > 40 * 4 * 4


@pytest.mark.parametrize("seen", [True, False])
def test_what_was_released_is_held_for_who_asks_to_see_it_alone(seen: bool) -> None:
    graph = {"rounds": 2, "dense_items": 1, "neighbors": 3}
    federation = Federation(UFGraphFormer(dim=8, hidden=8, graph=graph, text=False))
    done = federation.run(rounds=2, seen=seen)
    assert [each.released is not None for each in done] == [seen, seen]
    if seen:
        # though the algorithm took it
        told = [each.released.sums["graph.pairs"].values() for each in done]
        assert min(map(len, told)) > 20


def test_the_state_that_was_handed_in_is_not_modified(federation):
    before = {name: value.clone() for name, value in federation.state.items()}
    handed_in = federation.state
    federation.run(rounds=2)
    for name, value in before.items():
        assert torch.equal(handed_in[name], value)


def test_going_on_later_is_going_on(federation):
    whole = Federation(federation.algorithm)
    last = whole.run(rounds=5, cohort=0.4)[-1]
    federation.run(rounds=2, cohort=0.4)
    again = federation.run(rounds=5, cohort=0.4, first=3)
    assert [step.number for step in again] == [3, 4, 5]
    for name, value in last.state.items():
        assert torch.equal(again[-1].state[name], value)
    for name, value in whole.store.weights.items():
        assert torch.equal(federation.store.weights[name], value)


def test_nothing_is_left_to_do_after_the_last_round(federation):
    assert federation.run(rounds=3, first=4) == []


@pytest.mark.parametrize("sampling", ["fixed", "poisson"])
@pytest.mark.parametrize("cohort", [0.3, 6])
def test_the_drawn_cohort_is_asked(federation, sampling, cohort):
    settings = {"rounds": 6, "cohort": cohort, "sampling": sampling}
    sizes = [step.clients for step in federation.run(**settings)]
    spec = FederationSpec(**settings)
    everyone = torch.arange(USERS)
    assert sizes == [len(draw_cohort(spec, everyone, KEY.at(n))) for n in range(1, 7)]
    assert (set(sizes) == {6}) == (sampling == "fixed")


def test_a_round_without_clients_changes_nothing(federation):
    federation.run(rounds=1)
    before, weights = federation.state, federation.store.gather(federation.simulation.batch)
    done = federation.run(rounds=40, first=2, cohort=0.004, sampling="poisson")
    empty = [step for step in done if step.clients == 0]
    assert len(empty) > 20
    assert all(math.isnan(step.loss) and step.bytes_up == 0 for step in empty)
    assert done[0].clients == 0
    assert done[0].state is before
    for name, value in federation.store.weights.items():
        assert value.shape == weights[name].shape


def test_only_the_clients_that_may_be_drawn_are_asked():
    federation = Federation(FedMF(dim=4), clients=torch.tensor([2, 5, 7]))
    before = federation.store.gather(federation.simulation.batch)["user"]
    assert {step.clients for step in federation.run(rounds=2)} == {3}
    moved = (federation.store.weights["user"] != before).any(1).nonzero()[:, 0]
    assert moved.tolist() == [2, 5, 7]


class ByColumn(FedMF):
    """Its memory comes column by column, as an inverse of a matrix does."""

    def init_server(self, setting):
        return {"items": super().init_server(setting)["items"].T.contiguous().T}

    def aggregate(self, state, report):
        return {"items": super().aggregate(state, report)["items"].T.contiguous().T}


def test_the_memory_is_laid_out_as_a_checkpoint_lays_it_out():
    """Else a resumed run would train on sums of another order than an uninterrupted one."""
    done = Federation(ByColumn(dim=4)).run(rounds=2)
    assert all(step.state["items"].is_contiguous() for step in done)


def test_a_tenth_drops_out_of_a_cohort_and_nobody_where_everybody_is_asked():
    model = UFGraphFormer(dim=8, hidden=8, history=5, graph={"rounds": 2})
    done = Federation(model).run(rounds=22, dropouts=0.1)
    assert [step.clients for step in done[:2]] == [USERS] * 2
    silent = sum(USERS - step.clients for step in done[2:])
    # of 400 that were asked; standard deviation 6
    assert 15 < silent < 65
