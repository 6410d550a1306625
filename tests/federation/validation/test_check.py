"""Validation: honest replies pass, whatever the algorithm; everything else is named and dropped."""

import inspect
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from narrow import narrow

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms.base import Setting
from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.low_rank import LowRank
from ufgraphfr.core.arrays.protocol import ArraySpec
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, State, one_row, per_client
from ufgraphfr.data.client_batches import build
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.experiment import build as build_experiment
from ufgraphfr.experiment import execute
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.experiment.privacy_plan import calibrate
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.codec import decode_report, encode_report
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.federation.upload import UploadSpec
from ufgraphfr.federation.validation import check as check_module
from ufgraphfr.federation.validation.check import (
    RULES,
    RejectedReply,
    ReplySpec,
    check,
    check_bytes,
)
from ufgraphfr.federation.validation.checked_transport import CheckedTransport
from ufgraphfr.federation.validation.expected import Validation
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.none import NoMechanism

USERS, ITEMS, DIM = 12, 40, 3


@pytest.fixture(scope="module")
def batch():
    split = leave_one_out(Synthetic(users=USERS, items=ITEMS, interactions=8).load().interactions)
    return build(split, torch.nn.functional.normalize(torch.randn(USERS, 6), dim=1))


def federation(kind, batch, per_client=False, upload=None):
    algorithm = ALGORITHMS.build(kind, narrow(kind), "test")
    setting = Setting(ITEMS, USERS, 6, seed=1)
    store = PrivateState(algorithm.init_private(setting, batch))
    client = Client(algorithm, NoMechanism(), upload)
    return Network(
        simulation=Simulation(client, batch, store, chunk=5),
        validation=Validation(client, setting),
        aggregator=Aggregator(algorithm, setting, per_client or upload is not None),
        state=algorithm.init_server(setting),
    )


@dataclass
class Network:
    """Clients of one algorithm, and their server."""

    simulation: Simulation
    validation: Validation
    aggregator: Aggregator
    state: State

    def task(self, clients, number):
        task = self.aggregator.algorithm.broadcast(self.state, clients, number)
        return replace(task, aggregation=self.aggregator.asked(number))

    def answer(self, task):
        return self.simulation.answer(task, Key(1, task.round))

    def expected(self, task):
        return self.validation.expected(task.select(torch.tensor([0])), task.clients)

    def learn(self, report):
        report = self.aggregator.combined([report])
        self.state = self.aggregator.algorithm.aggregate(self.state, report)


def with_graph(network):
    """The flagship's server once everybody has contributed to the item graph."""
    for number in range(1, 9):
        network.learn(network.answer(network.task(network.simulation.batch.clients, number)))


@pytest.mark.parametrize("kind", ALGORITHMS.kinds)
@pytest.mark.parametrize("per_client", [False, True])
def test_honest_replies_pass(kind, per_client, batch):
    network = federation(kind, batch, per_client)
    for number in (1, 2):
        task = network.task(batch.clients, number)
        expected, report = network.expected(task), network.answer(task)
        check(report, expected)
        payload = encode_report(report)
        check_bytes(payload, USERS, expected)
        check(decode_report(payload), expected)
        network.learn(report)


def rows():
    index = torch.tensor([1, 5, 2])
    return Rows(torch.tensor([0, 2, 3]), index, torch.ones(3, DIM), ITEMS)


def honest():
    arrays = {"items": rows(), "user": torch.ones(2, 4), "count": torch.ones(2, 1).to(torch.uint8)}
    loss = torch.tensor([0.1, 0.2])
    return Report(7, torch.tensor([3, 9]), per_client(arrays), Aggregation.PER_CLIENT, loss)


EXPECTED = ReplySpec(
    round=7,
    clients=torch.tensor([1, 3, 9]),
    aggregation=Aggregation.PER_CLIENT,
    arrays={
        "items": ArraySpec(True, True, (ITEMS, DIM)),
        "user": ArraySpec(False, True, (4,)),
        "count": ArraySpec(False, False, (1,), signed=False),
    },
    norm_cap=3.0,
    row_cap=2.0,
)


def with_array(name, value):
    report = honest()
    return replace(report, arrays=per_client({**report.arrays, name: value}))


def with_rows(**changes):
    return with_array("items", replace(rows(), **changes))


BROKEN = [
    ("round", replace(honest(), round=8)),
    ("client", replace(honest(), clients=torch.tensor([3, 4]))),
    ("client", replace(honest(), clients=torch.tensor([3, 3]))),
    ("client", replace(honest(), clients=torch.tensor([3.0, 9.0]))),
    ("client", replace(honest(), clients=torch.tensor([[3, 9]]))),
    ("client", replace(honest(), clients=torch.tensor([], dtype=torch.int64))),
    ("summed", replace(honest(), aggregation=Aggregation.SUM)),
    ("loss", replace(honest(), loss=torch.tensor([0.1, torch.nan]))),
    ("loss", replace(honest(), loss=torch.tensor([0.1]))),
    ("loss", replace(honest(), loss=torch.tensor([1, 2]))),
    ("arrays", replace(honest(), arrays={})),
    ("arrays", with_array("extra", torch.zeros(2))),
    ("arrays", with_array("items", torch.zeros(2, ITEMS, DIM))),
    ("arrays", with_array("user", rows())),
    ("dtype", with_array("user", torch.ones(2, 4, dtype=torch.float64))),
    ("dtype", with_array("user", torch.ones(2, 4, dtype=torch.int64))),
    ("dtype", with_array("user", torch.ones(2, 4, dtype=torch.complex64))),
    ("dtype", with_array("count", torch.ones(2, 1))),
    ("dtype", with_array("count", torch.ones(2, 1, dtype=torch.bool))),
    ("dtype", with_rows(values=torch.ones(3, DIM).double())),
    ("shape", with_array("user", torch.ones(2, 5))),
    ("shape", with_array("user", torch.ones(3, 4))),
    ("shape", with_array("user", torch.ones(4))),
    ("shape", with_rows(height=ITEMS + 1)),
    ("shape", with_rows(values=torch.ones(3, DIM + 1))),
    ("shape", with_rows(values=torch.ones(2, DIM))),
    ("shape", with_rows(values=torch.ones(3))),
    ("shape", with_rows(index=torch.tensor([1, 5, ITEMS]))),
    ("shape", with_rows(index=torch.tensor([1, 5, -1]))),
    ("shape", with_rows(index=torch.tensor([1, 1, 2]))),
    ("shape", with_rows(index=torch.tensor([1.0, 5.0, 2.0]))),
    ("shape", with_rows(ptr=torch.tensor([0, 3]))),
    ("shape", with_rows(ptr=torch.tensor([0, 2, 4]))),
    ("shape", with_rows(ptr=torch.tensor([0, 4, 3]))),
    ("shape", with_rows(ptr=torch.tensor([1, 2, 3]))),
    ("not-finite", with_array("user", torch.full((2, 4), torch.inf))),
    ("not-finite", with_rows(values=torch.full((3, DIM), torch.nan))),
    ("negative-count", with_array("count", torch.tensor([[1], [-1]]))),
    ("row", with_rows(values=torch.full((3, DIM), 1.2))),
    ("norm", with_array("user", torch.full((2, 4), 1.6))),
    ("row", with_array("user", torch.full((2, 4), 2.1))),
]


def test_what_is_expected_passes():
    check(honest(), EXPECTED)


def test_clipped_updates_on_a_grid_pass_with_their_signs_and_without_a_loss():
    forms = {"items": ArraySpec(True, False, (ITEMS, DIM)), "user": ArraySpec(False, False, (4,))}
    expected = replace(EXPECTED, arrays=forms, loss=False)
    arrays = {
        "items": replace(rows(), values=-torch.ones(3, DIM, dtype=torch.int64)),
        "user": -torch.ones(2, 4, dtype=torch.int64),
    }
    report = replace(honest(), arrays=per_client(arrays), loss=torch.full((2,), torch.nan))
    check(report, expected)
    with pytest.raises(RejectedReply) as refused:
        check(replace(report, loss=torch.zeros(2)), expected)
    assert refused.value.reason == "loss"


@pytest.mark.parametrize(
    ("reason", "report"), BROKEN, ids=[f"{r}-{k}" for k, (r, _) in enumerate(BROKEN)]
)
def test_what_does_not_fit_is_named(reason, report):
    with pytest.raises(RejectedReply) as refused:
        check(report, EXPECTED)
    assert refused.value.reason == reason
    assert str(refused.value) == f"reply rejected: {RULES[reason]}"


def test_every_rule_is_tested_and_no_rule_echoes():
    tested = {reason for reason, _ in BROKEN} | {"bytes", "implausible"}
    assert tested == set(RULES)
    assert not any(character.isdigit() for rule in RULES.values() for character in rule)
    assert "raise RejectedReply(f" not in inspect.getsource(check_module)


@given(
    place=st.integers(0, 10**6),
    value=st.floats(width=32, allow_nan=True, allow_infinity=True),
    name=st.sampled_from(["items", "user"]),
)
def test_one_bad_number_is_enough(place, value, name):
    report = honest()
    array = report.arrays[name]
    values = array.values
    values.view(-1)[place % values.numel()] = value
    squares = values.double().square()
    longest = float((squares.sum(1) if isinstance(array, Rows) else squares).max()) ** 0.5
    whole = squares.sum(1)
    whole = torch.stack((whole[:2].sum(), whole[2])) if isinstance(array, Rows) else whole
    fits = longest <= 2.0 and float(whole.max()) ** 0.5 <= 3.0
    if fits:
        check(report, EXPECTED)
    elif longest > 2.001 or float(whole.max()) ** 0.5 > 3.001 or not torch.isfinite(values).all():
        with pytest.raises(RejectedReply):
            check(report, EXPECTED)


@given(
    st.integers(0, 6),
    st.integers(0, 6),
    st.sampled_from([torch.float32, torch.float64, torch.int64]),
)
def test_only_the_shape_that_was_asked_for(first, second, dtype):
    report = with_array("user", torch.zeros(first, second, dtype=dtype))
    if (first, second, dtype) == (2, 4, torch.float32):
        check(report, EXPECTED)
        return
    with pytest.raises(RejectedReply):
        check(report, EXPECTED)


def test_a_client_replies_once():
    report = honest()
    check(report, EXPECTED)
    with pytest.raises(RejectedReply) as refused:
        check(report, EXPECTED.without(report.clients))
    assert refused.value.reason == "client"


def test_too_many_bytes_are_refused_before_they_are_read():
    payload = encode_report(honest())
    check_bytes(payload, 2, EXPECTED)
    with pytest.raises(RejectedReply) as refused:
        check_bytes(bytes(EXPECTED.most_bytes(2) + 1), 2, EXPECTED)
    assert refused.value.reason == "bytes"


class Spoiling:
    """A transport that changes what comes back."""

    def __init__(self, simulation, spoil):
        self.inner, self.spoil = Local().to(simulation), spoil

    def exchange(self, task_for, cohort, key):
        yield from self.spoil(list(self.inner.exchange(task_for, cohort, key)))


def run(network, spoil, count=2):
    """Some rounds whose responses are changed on their way, behind the check."""
    transport = CheckedTransport(Spoiling(network.simulation, spoil), network.validation)
    clients, spec = network.simulation.batch.clients, FederationSpec(rounds=count)
    start = network.state
    return list(
        rounds(
            network.aggregator, NoMechanism(), transport, spec, clients, start, Key(0), seen=True
        )
    )


def changed(response, **changes):
    return replace(response, report=replace(response.report, **changes))


def test_a_bad_reply_is_counted_and_the_round_goes_on(batch):
    network = federation("fedmf", batch)
    done = run(network, lambda r: [changed(r[0], loss=r[0].report.loss * torch.nan), *r[1:]])
    assert [step.rejected for step in done] == [{"loss": 1}] * 2
    assert all(len(step.released.clients) == USERS - 5 for step in done)
    assert all(v.isfinite().all() for v in done[-1].state.values())
    assert not torch.equal(done[0].state["items"], network.state["items"])


def twice_in_two_chunks(responses):
    return [*responses, responses[0]]


def twice_in_one_chunk(responses):
    """The first client of the last chunk stands there for the second one too."""
    last = responses[-1]
    clients = last.report.clients.clone()
    clients[1] = clients[0]
    return [*responses[:-1], changed(last, clients=clients)]


def for_another(responses):
    """The first chunk replies for clients of the last one, which is silent."""
    others = responses[-1].report.clients
    clients = torch.cat((others, responses[0].report.clients[len(others) :]))
    return [changed(responses[0], clients=clients), *responses[1:-1]]


def for_nobody_asked(responses):
    return [changed(responses[0], clients=responses[0].report.clients + USERS), *responses[1:]]


@pytest.mark.parametrize("kind", ["fedmf", "pfedrec"])
@pytest.mark.parametrize(
    ("spoil", "left"),
    [
        (twice_in_two_chunks, USERS),
        (twice_in_one_chunk, USERS - 2),
        (for_another, USERS - 5 - 2),
        (for_nobody_asked, USERS - 5),
    ],
)
def test_a_client_replies_once_and_for_itself(kind, spoil, left, batch):
    (done,) = run(federation(kind, batch), spoil, count=1)
    assert done.rejected == {"client": 1}
    assert done.clients == len(done.released.clients) == len(done.released.clients.unique()) == left


def test_what_to_expect_is_learnt_once_and_drawn_anew_each_round(batch, monkeypatch):
    network = federation("ufgraphformer", batch, upload=UploadSpec(codec="int8", share=0.5))
    with_graph(network)
    asked = []
    real = Client.respond
    monkeypatch.setattr(Client, "respond", lambda *given: asked.append(1) or real(*given))
    expected = [network.expected(network.task(batch.clients, n)) for n in (9, 10, 11)]
    assert len(asked) == 1
    blocks = [each.arrays["gradient"].blocks.tolist() for each in expected]
    assert blocks[0] != blocks[1] != blocks[2]
    assert [each.round for each in expected] == [9, 10, 11]
    # rounds of the graph ask for other items each: nothing of one holds for the next
    for number in (1, 2):
        network.expected(network.task(batch.clients, number))
    assert len(asked) == 3


@pytest.mark.parametrize(
    "forge",
    [
        lambda a: a | {"graph.pairs": a["graph.pairs"] * 2},
        lambda a: a | {"graph.pairs": (a["graph.pairs"].cumsum(0) % 2).to(torch.uint8)},
        lambda a: a | {"graph.next": a["graph.next"] * 8},
        lambda a: a | {"graph.next": torch.ones_like(a["graph.next"])},
        lambda a: a | {"graph.step": a["graph.step"] * 2},
        lambda a: a | {"graph.lately": torch.full_like(a["graph.lately"], 7)},
    ],
)
def test_a_graph_contribution_must_be_of_one_history(forge, batch):
    network = federation("ufgraphformer", batch)
    # somebody who has an item among the rows that are asked for first
    place = (batch.items < 2).nonzero()[0]
    one = torch.searchsorted(batch.ptr, place, right=True) - 1
    task = network.task(one, 1)
    expected, report = network.expected(task), network.answer(task)
    check(report, expected)
    with pytest.raises(RejectedReply) as refused:
        check(replace(report, arrays=one_row(forge(report.sums))), expected)
    assert refused.value.reason == "implausible"


@pytest.mark.parametrize("count", [0.0, -1.0, 1e6])
def test_a_client_cannot_claim_any_number_of_positions(count, batch):
    network = federation("ufgraphformer", batch, per_client=True)
    with_graph(network)
    task = network.task(torch.tensor([4]), 9)
    expected, report = network.expected(task), network.answer(task)
    check(report, expected)
    forged = {**report.arrays, "count": Dense(torch.tensor([[count]]))}
    with pytest.raises(RejectedReply) as refused:
        check(replace(report, arrays=forged), expected)
    assert refused.value.reason == "implausible"


def compressed(upload, batch):
    """Replies of clients that compress them so, which pass, and what is expected of them."""
    network = federation("ufgraphformer", batch, upload=upload)
    with_graph(network)
    task = network.task(batch.clients, 9)
    expected, report = network.expected(task), network.answer(task)
    check(report, expected)
    return report, expected


def check_refused(report, expected, broken):
    """Each forged gradient is refused, for its reason."""
    for reason, forged in broken:
        with pytest.raises(RejectedReply) as refused:
            check(replace(report, arrays={**report.arrays, "gradient": forged}), expected)
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    "upload",
    [
        UploadSpec(codec="bfloat16"),
        UploadSpec(codec="int8"),
        UploadSpec(codec="int4"),
        UploadSpec(codec="int8", share=0.5),
    ],
    ids=str,
)
def test_compressed_replies_pass_and_broken_ones_do_not(upload, batch):
    report, expected = compressed(upload, batch)
    check(decode_report(encode_report(report)), expected)
    value = report.arrays["gradient"]
    if isinstance(value, Dense):
        broken = [
            ("dtype", Dense(value.values.float())),
            ("not-finite", Dense(value.values * torch.inf)),
        ]
    else:
        broken = [
            ("shape", replace(value, levels=value.levels[:, :-1])),
            ("shape", replace(value, bits=value.bits - 1)),
            ("shape", replace(value, levels=torch.full_like(value.levels, -128))),
            ("dtype", replace(value, scale=value.scale.float())),
            ("not-finite", replace(value, scale=value.scale * torch.inf)),
            ("arrays", value.plain()),
        ]
        if value.blocks is None:
            broken += [("arrays", replace(value, blocks=torch.tensor([0], dtype=torch.int32)))]
        else:
            broken += [
                ("arrays", replace(value, blocks=None)),
                ("shape", replace(value, blocks=value.blocks.flip(0))),
                ("shape", replace(value, blocks=value.blocks.long())),
            ]
    check_refused(report, expected, broken)


@pytest.mark.parametrize("codec", ["float32", "bfloat16", "int8"])
def test_products_of_thin_matrices_pass_and_broken_ones_do_not(codec, batch):
    upload = UploadSpec(codec=codec, rank=1)
    report, expected = compressed(upload, batch)
    back = decode_report(encode_report(report))
    check(back, expected)
    value = report.arrays["gradient"]
    assert isinstance(value, LowRank)
    assert torch.equal(back.arrays["gradient"].dense(), value.dense())
    first, *rest = value.matrices
    moved = (first[0] + 1, *first[1:])
    broken = [
        ("arrays", replace(value, rank=2)),
        ("arrays", replace(value, size=value.size + 1)),
        ("arrays", replace(value, matrices=(moved, *rest))),
        ("arrays", value.numbers),
        ("arrays", value.plain()),
    ]
    if isinstance(value.numbers, Dense):
        numbers = value.numbers.values
        huge = torch.full_like(numbers, 3e38)
        broken += [
            ("shape", replace(value, numbers=Dense(numbers[:, 1:]))),
            ("not-finite", replace(value, numbers=Dense(numbers * torch.inf))),
            ("not-finite", replace(value, numbers=Dense(huge))),
        ]
    else:
        broken += [("shape", replace(value, numbers=replace(value.numbers, bits=4)))]
    check_refused(report, expected, broken)


def test_under_a_guarantee_a_reply_longer_than_the_clip_is_refused(tmp_path):
    values = {
        "data": {"kind": "synthetic", "users": 40, "items": 60, "interactions": 10},
        "text": {"kind": "hashing", "width": 16},
        "algorithm": {"kind": "fedmf", "dim": 4},
        "federation": {"rounds": 2, "adversary": {"kind": "push-row", "share": 0.2}},
        "privacy": {"kind": "central-jdp", "epsilon": 8, "clip": 0.5},
    }
    experiment = build_experiment(values)
    prepared = prepare(experiment)
    algorithm = experiment.model
    mechanism = calibrate(experiment, algorithm, len(prepared.split.warm), Ledger(None))
    client = Client(algorithm, mechanism)
    store = PrivateState(algorithm.init_private(prepared.setting, prepared.batch))
    simulation = Simulation(client, prepared.batch, store, chunk=50)
    task = algorithm.broadcast(algorithm.init_server(prepared.setting), torch.arange(2), 1)
    validation = Validation(client, prepared.setting)
    expected = validation.expected(task.select(torch.tensor([0])), task.clients)
    report = simulation.answer(task, Key(0, 1))
    check(report, expected)
    items = report.arrays["items"]
    longer = replace(items, values=items.values * 3)
    with pytest.raises(RejectedReply) as refused:
        check(replace(report, arrays={**report.arrays, "items": longer}), expected)
    assert refused.value.reason == "norm"
    # malicious clients are clipped like all others, and the run goes on
    assert len(list(execute(experiment, tmp_path / "run", device="cpu"))) == 2
    for line in RunFolder(tmp_path / "run").read_metrics():
        assert (line["clients"], line["rejected"]) == (40, {})
