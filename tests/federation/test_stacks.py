"""A large catalogue's graph stacks clients by what their pairs hold, whatever the chunk is."""

import logging
from dataclasses import replace

import pytest
import torch

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.graph.part import CLIENT_BYTES, PAIR_BYTES
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.algorithms.ufgraphformer.private.model import LINK_BYTES, PAIRED, REACH, PrivateForm
from ufgraphfr.algorithms.ufgraphformer.private.plan import Plan
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, combine
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.federation import simulation
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.privacy.none import NoMechanism

USERS, ROUNDS, CHUNK = 60, 2, 7
EVERYBODY = torch.arange(USERS)


def graph(dense_items: int = 1) -> UFGraphFormer:
    return UFGraphFormer(
        dim=8, hidden=8, history=20, graph={"rounds": ROUNDS, "dense_items": dense_items}
    )


@pytest.fixture(scope="module")
def batch() -> ClientBatch:
    source = Synthetic(users=USERS, items=80, interactions=15, popularity=1.0)
    return build(leave_one_out(source.load().interactions), torch.ones(USERS, 4))


def sizes(model: Algorithm, batch: ClientBatch, number: int) -> list[int]:
    stacked = Simulation(Client(model, NoMechanism()), batch, PrivateState({}), CHUNK)
    return [len(each) for each in stacked.chunks(EVERYBODY, number)]


def total(model: UFGraphFormer, batch: ClientBatch, number: int) -> Report:
    setting = Setting(batch.n_items, USERS, 4, seed=1, sequential=True)
    state = model.init_server(setting)
    clients = Simulation(Client(model, NoMechanism()), batch, PrivateState({}), CHUNK)
    found = Local().exchange(
        clients, lambda some: model.broadcast(state, some, number), EVERYBODY, Key(0, round=number)
    )
    return combine([each.report for each in found])


def test_the_graph_needs_no_small_chunks_and_training_has_its_own(batch: ClientBatch) -> None:
    assert [sizes(graph(), batch, number) for number in (1, ROUNDS)] == [[USERS]] * 2
    assert max(sizes(graph(), batch, ROUNDS + 1)) == CHUNK
    # a dense graph's sums are as large whoever adds to them
    assert max(sizes(graph(dense_items=100), batch, 1)) == CHUNK


def test_stacks_hold_alike_much_and_add_up_to_the_same(
    batch: ClientBatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = graph()
    at_once = total(model, batch, 1)
    held = PAIR_BYTES * batch.counts * (batch.counts + model.graph.reach) / ROUNDS + CLIENT_BYTES
    bound = int(held.sum()) // 5
    assert bound > held.max()
    monkeypatch.setattr(simulation, "STACKED_BYTES", bound)
    ends = torch.tensor(sizes(model, batch, 1)).cumsum(0).tolist()
    assert ends[-1] == USERS
    ordered = held[batch.counts.argsort(descending=True, stable=True)]
    stacks = [float(each.sum()) for each in ordered.tensor_split(ends[:-1])]
    assert 5 <= len(stacks) <= 6
    # the first of a stack may have begun in the one before
    assert all(stack < bound + held.max() for stack in stacks)
    with caplog.at_level(logging.INFO):
        in_stacks = total(model, batch, 1)
    assert f"{len(stacks)} stack(s)" in caplog.text
    for name, value in at_once.arrays.items():
        assert torch.equal(in_stacks.arrays[name].dense(), value.dense())


def test_the_graph_of_a_budget_is_stacked_and_its_other_sums_are_not(batch: ClientBatch) -> None:
    form = PrivateForm(spec=PrivateSpec(linked=10), plan=Plan(graph_items=20, graph_share=0.5))
    assert max(sizes(form, batch, 1)) == CHUNK
    assert sizes(form, batch, 2) == [USERS]
    counts = torch.tensor([3, 10, 5_000])
    held = form.stacked_bytes(counts, batch.n_items, 2)
    assert held is not None
    # of long histories the last items alone are linked
    assert (held.diff() / (LINK_BYTES * REACH)).tolist() == [7, 0]
    unordered = form.model_copy(update={"plan": replace(form.plan, ordered=False)})
    held = unordered.stacked_bytes(counts, batch.n_items, 2)
    assert held is not None
    assert (held.diff() / LINK_BYTES).tolist() == [91, PAIRED**2 - 100]
