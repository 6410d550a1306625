"""A thousand hostile requests: no answer beyond the agreement, no crash, no memory kept."""

import gc
import json
import os
import socket
import struct
import threading
from dataclasses import replace
from random import Random

import pytest
import torch
from small_federation import NODES, federate, toy_values

from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.core.allocator import give_back_freed_memory
from ufgraphfr.deploy.agent.serve import Caller, Received, Room, _answer, _receive
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.wire.message import Envelope, pack, unpack
from ufgraphfr.deploy.wire.payload import digest, encode_arrays, encode_personal, shared_arrays
from ufgraphfr.deploy.wire.unix_socket import BrokenFrame, send
from ufgraphfr.federation import codec
from ufgraphfr.privacy.accounted.ledger import Ledger

NODE, ROUNDS, REQUESTS = NODES[0], 4, 1_000
PRIVATE = {
    **{"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0},
    **{"trust": "shard", "shards": 2},
}
MOST_GROWTH = 10e6
"""Bytes that an agent may have taken for good."""

NUMBERS = (-1, 0, 1, 2, 3, 4, 5, 10**9, 2**31, 2**63, 10**30)
NAMES = ("", "other", "r" * 60_000, "\ud800", "a\nb", "../../x", "0" * 64)
JUNK = (None, True, 2**70, -1.5, float("nan"), "x", [], {}, [{"a": [1]}], {"shared": {"b": None}})
DTYPES = (torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool)
PLACES = ("header", "chunks", "short", "clients", "task", "array", "facts", "part", "weights")
"""Where a request is changed."""


class Hostile:
    """Makes requests: an honest server's, changed in none, one or two places.

    It draws by itself, for what a library of generators keeps would count as the agent's memory.
    """

    def __init__(self, federation, seed):
        self.random, self.federation = Random(seed), federation
        agreement = federation.agreement
        self.algorithm = agreement.algorithm
        self.state = self.algorithm.init_server(agreement.setting(federation.catalogue, False))

    def pick(self, *values):
        return self.random.choice(values)

    def tensor(self):
        """Of any kind and shape, not all of whose numbers are finite."""
        shape = [self.pick(0, 1, 2, 4, 15, 16, 40, 41) for _ in range(self.random.randint(0, 3))]
        fill = self.pick(0.0, 1.0, -1.0, 1e30, float("nan"), float("inf"))
        dtype = self.pick(*DTYPES)
        filled = torch.full(shape, fill, dtype=torch.float64)
        return (filled if dtype.is_floating_point else filled.nan_to_num(0, 1, 0)).to(dtype)

    def message(self):
        """The bytes of a caller."""
        if self.random.random() < 0.05:
            announced = struct.pack(">IQ", 1, 2**30), struct.pack(">I4Q", 4, 8, 8, 8, 8), b""
            return self.pick(*announced) + self.random.randbytes(self.random.randint(0, 40))
        changes = self.random.sample((*PLACES, *[None] * 8), 2)
        chunks = pack(self.request(changes))
        if "header" in changes:
            field = self.pick("kind", "agreement", "run", "node", "nonce", "round", "code", "facts")
            value = self.pick(*(NUMBERS if field == "round" else NAMES), *JUNK)
            chunks[0] = json.dumps(json.loads(chunks[0]) | {field: value}).encode()
        if "chunks" in changes:
            self.random.shuffle(chunks)
        head = struct.pack(f">I{len(chunks)}Q", len(chunks), *map(len, chunks))
        return (head + b"".join(chunks))[: 50 if "short" in changes else None]

    def request(self, changes):
        """A request, with changes but to its bytes."""
        kind, number = self.pick("train", "evaluate", "hello"), self.random.randint(0, ROUNDS + 1)
        clients = list(range(15))
        if "clients" in changes:
            clients = [self.random.randint(-1, 31) for _ in range(self.random.randint(1, 15))]
        if (kind == "evaluate") != ("task" in changes):
            task = scoring_task(self.algorithm, self.state, torch.tensor(clients), number + 1)
        else:
            task = self.algorithm.broadcast(self.state, torch.tensor(clients), number)
        arrays = shared_arrays(task)
        if "array" in changes:
            name = self.pick(*arrays, "x", "same.y")
            arrays[name] = arrays[name] + 1 if name in arrays and self.pick(0, 1) else self.tensor()
        facts = {"shared": {name: digest(value) for name, value in arrays.items()}}
        facts |= {"part": self.pick("validation", "test")} if kind == "evaluate" else {}
        if "facts" in changes:
            name = self.pick("shared", "part", "settled", "best", "ledger")
            facts[name] = self.pick(*NUMBERS[:4], *NAMES, *JUNK)
        parts = [encode_arrays(arrays), encode_personal(task)]
        if "part" in changes:
            own = {name: self.tensor() for name in ("round", "clients", self.pick("tables/x", "y"))}
            forged = self.pick(self.random.randbytes(60), encode_arrays(own), parts[1][:-1])
            parts[self.random.randint(0, 1)] = forged
        if "weights" in changes:
            parts.append(encode_arrays({self.pick("fit", "choices", "x"): self.tensor()}))
        asked = Envelope(kind, self.federation.agreement.digest, "run", number, NODE, "n")
        return replace(asked, facts=facts, parts=tuple(parts))


def said(agent, message):
    """The reply to a caller's bytes, over a socket; None if it got none."""
    here, there = socket.socketpair()
    with here, there:
        for end in (here, there):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
            end.settimeout(5.0)
        here.sendall(message)
        here.shutdown(socket.SHUT_WR)
        received, slots = Received(), threading.BoundedSemaphore(1)
        slots.acquire()
        _receive(Caller(there, Room(2**24)), received, slots)
        if not received.empty():
            caller, chunks = received.get()
            _answer(agent, caller.connection, chunks)
        there.close()
        try:
            data = b"".join(iter(lambda: here.recv(2**16), b""))
        except ConnectionResetError:
            # it did not read to the end
            data = b""
    if not data:
        return None
    (count,) = struct.unpack(">I", data[:4])
    lengths, at = struct.unpack(f">{count}Q", data[4 : 4 + 8 * count]), 4 + 8 * count
    chunks = []
    for length in lengths:
        chunks.append(data[at : at + length])
        at += length
    return unpack(chunks)


def resident():
    gc.collect()
    give_back_freed_memory()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("private", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_nothing_beyond_the_agreement_is_answered(private, tmp_path):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4})
    federation = federate(tmp_path / "d", values | ({"privacy": PRIVATE} if private else {}))
    shard, hostile = federation.shard(NODE), Hostile(federation, seed=int(private))
    agent, replies, before = Agent(shard), dict[tuple[str, int], set[bytes]](), 0
    for asked in range(REQUESTS // 2):
        reply = said(agent, hostile.message())
        if asked == REQUESTS // 10:
            before = resident()
        if reply is None:
            continue
        # nothing that is asked for makes it fail, and it says nothing of why it refuses
        assert reply.code in ("ok", "refused", "missing"), shard.audit.read_text()[-500:]
        if reply.code == "ok":
            assert set(reply.facts) <= {"ledger", "interactions", "version"}
            replies.setdefault((reply.kind, reply.round), set()).update(reply.parts)
        else:
            assert reply.parts == ()
            assert set(reply.facts) <= {"reason"}
    assert resident() - before <= MOST_GROWTH
    # honest ones among them are answered, each round once, whatever else was asked
    assert (
        {("train", number) for number in range(1, ROUNDS + 1)}
        >= {where for where in replies if where[0] == "train"}
        != set()
    )
    for (kind, _), parts in replies.items():
        assert kind == "evaluate" or len(parts) == 1
        for part in parts if kind == "train" else ():
            arrays = codec.decode_report(part).arrays
            assert all(value.clients == 1 for value in arrays.values())
    sums = {where[1]: len(parts) for where, parts in replies.items() if where[0] == "evaluate"}
    assert sums.keys() <= {1, 2, 3, 4}
    # a validation in two of the rounds, and one test
    assert sum(sums.values()) <= 3
    if private:
        paid = [spend["round"] for spend in Ledger(shard.ledger).spends]
        assert sorted(paid) == sorted(where[1] for where in replies if where[0] == "train")


def test_requests_that_arrive_together_take_no_more_memory_than_there_is():
    room = Room(1000)
    callers = [socket.socketpair() for _ in range(3)]
    held = [Caller(here, room) for here, _ in callers]
    for _, there in callers:
        send(there, [b"x" * 400])
    assert held[0].request() == held[1].request() == [b"x" * 400]
    with pytest.raises(BrokenFrame, match="no room"):
        held[2].request()
    # what was answered makes room again, and the one that was left took none
    held[0].leave()
    held[2].leave()
    room.take(600)
    with pytest.raises(BrokenFrame):
        room.take(1)
    held[1].leave()
    for _, there in callers:
        there.close()
