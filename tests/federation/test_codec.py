"""Messages through their bytes: what comes back, what is refused, what a size gives away."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_batches import made_batch
from safetensors.torch import load, save
from torch import Tensor

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms.base import Setting
from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import (
    ChangedTables,
    DenseTables,
    GraphTables,
    SharedTable,
    Tables,
)
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, Task, one_row, per_client
from ufgraphfr.federation.client import Client, Request
from ufgraphfr.federation.codec import (
    decode_report,
    decode_task,
    encode_report,
    encode_task,
    pieces,
    report_size,
)
from ufgraphfr.privacy import MECHANISMS

CLIENTS = torch.tensor([8, 3])
HEIGHT, DIM = 5, 2
BASE = torch.arange(10.0).view(HEIGHT, DIM)
CHANGE = Rows.of(torch.eye(4).view(2, 1, 8)[..., :4].reshape(2, 2, DIM).repeat(1, 3, 1)[:, :HEIGHT])
GRAPH = GraphTables(
    BASE,
    Rows(torch.tensor([0, 1]), torch.tensor([3]), torch.tensor([[5.0, 6.0]]), HEIGHT),
    torch.tensor([[0], [0]]),
    torch.tensor([[1.0], [0.5]]),
)
ARRAYS = [
    torch.tensor([[1.5, -0.0], [torch.nan, torch.inf]]),
    torch.tensor([[2**40], [-1]]),
    torch.tensor([True, False]),
    torch.ones(2, 3, dtype=torch.float64),
    torch.zeros(2, 0),
    torch.arange(6.0).view(3, 2).T,
]


def same(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("array", ARRAYS)
def test_arrays_come_back_in_every_place(array: Tensor) -> None:
    personal = {"a": DenseTables(array.clone())}
    task = decode_task(encode_task(Task(7, CLIENTS, {"a": array}, {**personal})))
    assert task.round == 7
    same(task.clients, CLIENTS)
    same(task.shared["a"], array)
    same(task.personal["a"].dense(), array)

    loss = torch.tensor([0.5, 0.25])
    sent = Report(9, CLIENTS, per_client({"a": array}), Aggregation.PER_CLIENT, loss)
    report = decode_report(encode_report(sent))
    assert report.round == 9
    assert report.aggregation is Aggregation.PER_CLIENT
    same(report.clients, CLIENTS)
    same(report.loss, sent.loss)
    back = report.arrays["a"]
    assert isinstance(back, Dense)
    same(back.values, array)


@pytest.mark.parametrize(
    "tables", [SharedTable(BASE, 2), DenseTables(torch.stack((BASE, -BASE))), GRAPH,
               ChangedTables(GRAPH, CHANGE)], ids=lambda tables: type(tables).__name__
)  # fmt: skip
def test_item_tables_are_written_out_and_come_back(tables: Tables) -> None:
    payload = encode_task(Task(1, CLIENTS, {}, {"items": tables, "other": SharedTable(BASE, 2)}))
    assert load(payload)["tables/items"].shape == (2, HEIGHT, DIM)
    task = decode_task(payload)
    assert set(task.personal) == {"items", "other"}
    same(task.tables("items").dense(), tables.dense())


@given(
    clients=st.integers(1, 4), share=st.sampled_from([0.0, 0.4, 1.0]), seed=st.integers(0, 2**31)
)
def test_changed_rows_are_dense_on_the_wire_and_sparse_again(
    clients: int, share: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(clients, HEIGHT, DIM, generator=generator)
    dense *= torch.rand(clients, HEIGHT, 1, generator=generator) < share
    rows = Rows.of(dense)
    numbers = torch.arange(clients)
    sent = Report(1, numbers, {"items": rows}, Aggregation.PER_CLIENT, torch.zeros(clients))
    payload = encode_report(sent)
    same(load(payload)["rows/items"], dense)
    back = decode_report(payload).arrays["items"]
    assert isinstance(back, Rows)
    for name in ("ptr", "index", "values"):
        same(getattr(back, name), getattr(rows, name))
    assert back.height == HEIGHT


def test_one_array_may_travel_under_two_names() -> None:
    task = decode_task(encode_task(Task(1, CLIENTS[:1], {"a": BASE}, {"a": SharedTable(BASE, 1)})))
    same(task.shared["a"], BASE)
    same(task.tables("a").dense()[0], BASE)
    sums = one_row({"a": BASE, "b": BASE})
    back = decode_report(encode_report(Report(1, CLIENTS, sums, Aggregation.SUM, torch.ones(2))))
    assert set(back.arrays) == {"a", "b"}
    same(back.sums["b"], BASE)


def test_sums_come_back_as_sums() -> None:
    each = Report(1, CLIENTS, {"items": CHANGE}, Aggregation.PER_CLIENT, loss=torch.ones(2))
    payload = encode_report(each.total())
    assert load(payload)["own/items"].shape == (HEIGHT, DIM)
    back = decode_report(payload)
    assert back.aggregation is Aggregation.SUM
    same(back.sums["items"], CHANGE.dense().sum(0))


@pytest.mark.parametrize("stowaway", [[1, 2], {"history": [3]}, "u17", 3.0, None])
def test_only_arrays_may_travel(stowaway: Any) -> None:
    single = Aggregation.PER_CLIENT
    report = Report(1, CLIENTS, {"a": Dense(stowaway)}, single, loss=torch.ones(2))
    rule = f"is a {type(stowaway).__name__}: only arrays may travel"
    with pytest.raises(TypeError, match=f"'own/a' {rule}"):
        encode_report(report)
    with pytest.raises(TypeError, match=f"'shared/a' {rule}"):
        encode_task(Task(1, CLIENTS, {"a": stowaway}, {}))
    with pytest.raises(TypeError, match=f"'tables/a' {rule}"):
        encode_task(Task(1, CLIENTS, {}, {"a": DenseTables(stowaway)}))
    with pytest.raises(TypeError, match=f"'loss' {rule}"):
        encode_report(Report(1, CLIENTS, {}, single, loss=stowaway))


def header(payload: bytes) -> dict[str, Any]:
    """Names, types, shapes and places of the arrays: all that is not their values."""
    length = int.from_bytes(payload[:8], "little")
    listed: dict[str, Any] = json.loads(payload[8 : 8 + length])
    return listed


@pytest.mark.parametrize("kind", ["ufgraphfr", "fedmf"])
def test_the_size_of_an_upload_does_not_tell_what_a_client_touched(kind: str) -> None:
    counts = [30, 30, 12, 1]
    batch = made_batch(counts, items=50)
    algorithm = ALGORITHMS.build(kind, {"dim": 8}, "[algorithm]")
    setting = Setting(items=50, clients=30, text_width=5, seed=0)
    state = algorithm.init_server(setting)
    payloads = []
    for place in range(len(counts)):
        one = batch.select(torch.tensor([place]))
        task = algorithm.broadcast(state, one.clients, 1)
        private = algorithm.init_private(setting, one)
        client = Client(algorithm, MECHANISMS.build("none", {}, "[privacy]"))
        report, _ = client.respond(Request(task, one, private, Key(0).at(1)))
        payloads.append(encode_report(report))
    assert len({len(payload) for payload in payloads}) == 1
    assert all(header(payload) == header(payloads[0]) for payload in payloads)
    # the clients did send different things
    assert len(set(payloads)) == len(counts)


@pytest.mark.parametrize("count", [1, 9, 1234])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int64, torch.float32])
def test_the_size_of_a_sparse_sum_is_that_of_what_is_written_out(
    kind: torch.dtype, count: int
) -> None:
    sparse = torch.zeros(count, dtype=kind)
    sparse[count // 2] = 1
    for clients in (torch.tensor([3]), torch.arange(70)):
        arrays = {"pairs": sparse.to_sparse().coalesce(), "a/few": torch.ones(5), "next": sparse}
        loss = torch.zeros(len(clients))
        report = Report(2, clients, one_row(arrays), Aggregation.SUM, loss)
        for largest in (None, {"pairs": 1}, {"pairs": 7, "next": 7}):
            assert report_size(report, largest) == len(encode_report(report, largest))


FLOATS = torch.float64, torch.float32, torch.float16, torch.bfloat16
KINDS = (*FLOATS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def test_pieces_are_what_the_format_s_own_library_writes():
    arrays = {f"{place}/é{kind}": torch.ones(place, 2).to(kind) for place, kind in enumerate(KINDS)}
    arrays |= {"one": torch.tensor(3), "turned": torch.arange(6).view(2, 3).T}
    whole = {name: value.contiguous() for name, value in arrays.items()}
    assert b"".join(pieces(arrays)) == save(whole)
    said = {"who": "é"}
    assert b"".join(pieces(arrays, said)) == save(whole, said)
    # one memory under two names is written twice
    same = torch.arange(4)
    assert load(b"".join(pieces({"a": same, "b": same})))["b"].tolist() == [0, 1, 2, 3]


def test_pieces_are_no_copies():
    value = torch.zeros(3)
    _, piece = pieces({"array": value})
    value[1] = 1.0
    assert torch.frombuffer(bytearray(piece), dtype=torch.float32).tolist() == [0.0, 1.0, 0.0]
