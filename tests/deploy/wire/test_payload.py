"""A task's two parts hold what the task held, and what is the same for all is held once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.core.arrays.tables import DenseTables, SharedTable
from ufgraphfr.core.messages import Task
from ufgraphfr.deploy.wire.message import Malformed
from ufgraphfr.deploy.wire.payload import (
    decode_arrays,
    decode_report,
    decode_task,
    digest,
    encode_arrays,
    encode_personal,
    shared_arrays,
)

TABLE = torch.arange(12.0).view(4, 3)


def task(clients):
    own = torch.tensor(clients)
    return Task(
        2,
        own,
        {"net": torch.arange(5.0)},
        {
            "table": SharedTable(TABLE, len(own)),
            "bias": DenseTables(own.float()[:, None]),
            "own": DenseTables(own.float()[:, None, None].expand(-1, 4, 3).clone()),
        },
    )


def test_round_trip():
    found = decode_task(shared_arrays(task([3, 5])), encode_personal(task([3, 5])))
    assert found.round == 2
    assert found.clients.tolist() == [3, 5]
    assert torch.equal(found.shared["net"], torch.arange(5.0))
    assert torch.equal(found.tables("bias").dense(), torch.tensor([[3.0], [5.0]]))
    assert torch.equal(found.tables("table").dense(), TABLE.expand(2, -1, -1))
    assert torch.equal(found.tables("own").dense()[1], torch.full((4, 3), 5.0))


def test_the_first_part_is_the_same_for_every_node():
    one, other = (encode_arrays(shared_arrays(task(own))) for own in ([3, 5], [1, 2, 4]))
    assert one == other


def test_a_digest_tells_values_kinds_and_shapes_apart():
    one = torch.tensor([1.0, 2.0])
    others = [one + 1, one.double(), one[None], one[:1], one.flip(0)]
    assert len({digest(value) for value in (one, *others)}) == 6
    assert digest(one) == digest(one.clone()) == digest(torch.stack([one, one])[1])


@given(st.binary(max_size=200))
def test_other_bytes_are_no_task(other):
    with pytest.raises(Malformed):
        decode_task({}, other)
    with pytest.raises(Malformed):
        decode_arrays(other)


def test_an_endless_round_is_no_round():
    for name in ("round", "clients"):
        arrays = {"round": torch.tensor(1), "clients": torch.arange(2), "summed": torch.tensor(1)}
        arrays |= {"loss": torch.zeros(2), name: torch.tensor(float("inf"))}
        with pytest.raises(Malformed):
            decode_task({}, encode_arrays(arrays))
    with pytest.raises(Malformed):
        decode_report(encode_arrays(arrays | {"round": torch.tensor(float("inf"))}))


def test_arrays():
    found = decode_arrays(encode_arrays({"clients": torch.arange(3)}))
    assert found["clients"].tolist() == [0, 1, 2]
