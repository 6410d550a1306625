"""Both transports carry the same messages, whoever is asked and however many at a time."""

from dataclasses import replace

import pytest
import torch
from narrow import narrow

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms.base import Setting
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import combine
from ufgraphfr.core.spec import parse
from ufgraphfr.data.client_batches import build
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.codec import encode_report, encode_task
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports import TRANSPORTS
from ufgraphfr.privacy.none import NoMechanism
from ufgraphfr.testing import TRANSPORT_CONTRACTS

USERS = 22
KEY = Key(5, round=1)


@pytest.fixture
def batch():
    split = leave_one_out(Synthetic(users=USERS, items=40, interactions=8).load().interactions)
    text = torch.nn.functional.normalize(torch.randn(USERS, 6, generator=torch.manual_seed(0)))
    return build(split, text)


class Network:
    """One algorithm, its clients and a transport."""

    def __init__(self, kind, batch, transport, chunk):
        self.algorithm = ALGORITHMS.build(kind, narrow(kind), "test")
        setting = Setting(batch.n_items, USERS, 6, seed=1)
        self.state = self.algorithm.init_server(setting)
        self.store = PrivateState(self.algorithm.init_private(setting, batch))
        client = Client(self.algorithm, NoMechanism())
        self.simulation = Simulation(client, batch, self.store, chunk)
        self.transport = TRANSPORTS.build(transport, {}, "test").to(self.simulation)

    def task(self, clients):
        task = self.algorithm.broadcast(self.state, clients, 1)
        return replace(task, aggregation=self.algorithm.aggregation)

    def ask(self, cohort):
        return list(self.transport.exchange(self.task, cohort, KEY))


@pytest.mark.parametrize("kind", ALGORITHMS.kinds)
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_loopback_equals_local(kind, chunk, batch):
    cohort = torch.tensor([0, 3, 4, 9, 12, 15, 20, 21])
    local, loopback = (Network(kind, batch, name, chunk) for name in ("local", "loopback"))
    one, other = (combine([a.report for a in n.ask(cohort)]) for n in (local, loopback))
    assert one.arrays.keys() == other.arrays.keys()
    assert one.aggregation is other.aggregation is local.algorithm.aggregation
    assert torch.equal(one.clients, cohort)
    assert torch.equal(other.clients, cohort)
    torch.testing.assert_close(other.loss, one.loss, atol=1e-6, rtol=0)
    for name, value in one.arrays.items():
        assert isinstance(other.arrays[name], type(value))
        torch.testing.assert_close(other.arrays[name].dense(), value.dense(), atol=1e-6, rtol=0)
    for name, weights in local.store.weights.items():
        torch.testing.assert_close(loopback.store.weights[name], weights, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ALGORITHMS.kinds)
@pytest.mark.parametrize("transport", TRANSPORTS.kinds)
def test_chunks_do_not_matter(kind, transport, batch):
    cohort = torch.arange(USERS)
    one, other = (Network(kind, batch, transport, chunk) for chunk in (5, USERS))
    few, all_at_once = (combine([a.report for a in n.ask(cohort)]) for n in (one, other))
    for name, value in few.arrays.items():
        found = all_at_once.arrays[name].dense()
        torch.testing.assert_close(found, value.dense(), atol=1e-5, rtol=0)
    for name, weights in one.store.weights.items():
        torch.testing.assert_close(other.store.weights[name], weights, atol=1e-5, rtol=0)


@pytest.mark.parametrize("transport", TRANSPORTS.kinds)
def test_a_chunk_holds_clients_with_like_amounts_of_data(transport, batch):
    uneven = batch.select(torch.arange(USERS))
    # client u keeps its first u % 5 + 1 items
    kept = torch.arange(USERS) % 5 + 1
    starts = torch.repeat_interleave(batch.ptr[:-1], kept)
    ptr = torch.cat((torch.zeros(1, dtype=torch.int64), kept.cumsum(0)))
    places = torch.arange(int(kept.sum())) - torch.repeat_interleave(ptr[:-1], kept)
    uneven = uneven.with_history(ptr, batch.items[starts + places])
    network = Network("fedmf", uneven, transport, chunk=4)
    sizes = [uneven.counts[c].tolist() for c in network.simulation.chunks(torch.arange(USERS), 1)]
    flat = [size for chunk in sizes for size in chunk]
    assert flat == sorted(flat, reverse=True)
    assert max(len(chunk) for chunk in sizes) == 4


@pytest.mark.parametrize("kind", ["fedmf", "ufgraphfr"])
def test_bytes_are_those_of_one_client(kind, batch):
    cohort = torch.arange(USERS)
    answer = Network(kind, batch, "local", chunk=9).ask(cohort)[0]
    alone = Network(kind, batch, "loopback", chunk=1)
    (single,) = alone.ask(answer.report.clients[:1])
    assert answer.bytes_up == single.bytes_up == len(encode_report(single.report))
    task = alone.task(answer.report.clients[:1])
    assert answer.bytes_down == single.bytes_down == len(encode_task(task))


@pytest.mark.parametrize("transport", TRANSPORTS.kinds)
def test_what_lasts_is_counted_apart(transport, batch):
    network = Network("fedncf", batch, transport, chunk=1)
    (before,) = network.ask(torch.tensor([3]))
    assert before.bytes_once == 0
    task = network.task(torch.tensor([3]))
    name = next(iter(task.shared))
    network.task = lambda _: replace(task, cacheable=frozenset({name}))
    (after,) = network.ask(torch.tensor([3]))
    assert after.bytes_once == task.shared[name].nbytes > 0
    assert after.bytes_down + after.bytes_once == before.bytes_down


@pytest.mark.parametrize("kind", TRANSPORTS.kinds)
@pytest.mark.parametrize("contract", TRANSPORT_CONTRACTS, ids=lambda each: each.__name__)
def test_every_transport_keeps_its_contracts(contract, kind):
    contract(TRANSPORTS.build(kind, {}, "test"))


@pytest.mark.parametrize("given", ["loopback", {"kind": "loopback"}])
def test_it_is_named_by_a_word_or_a_table(given):
    spec = FederationSpec.model_validate({"transport": given})
    assert spec.transport == TRANSPORTS.build("loopback", {}, "test")
    assert spec.model_dump(exclude_defaults=True, exclude_none=True) == {"transport": "loopback"}


def test_the_default_is_written_as_it_always_was():
    assert FederationSpec().model_dump()["transport"] == "local"
    named = FederationSpec.model_validate({"transport": "local"})
    assert named.model_dump(exclude_defaults=True, exclude_none=True) == {}


def test_an_unknown_one_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"no transport 'loopbak'.*loopback"):
        parse(FederationSpec, {"transport": "loopbak"}, "[federation]")


def test_changed_rows_arrive_as_rows(batch):
    (answer,) = Network("ufgraphfr", batch, "loopback", chunk=USERS).ask(torch.arange(USERS))
    assert isinstance(answer.report.arrays["items"], Rows)
