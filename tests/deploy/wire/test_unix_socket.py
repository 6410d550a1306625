"""Messages on a socket arrive whole, or as an error."""

import socket
import struct
import threading
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.deploy.wire.unix_socket import (
    MAX_CHUNKS,
    BrokenFrame,
    address,
    call,
    listens,
    receive,
    send,
)


@given(st.lists(st.binary(max_size=2000), max_size=MAX_CHUNKS))
def test_what_is_sent_arrives(chunks):
    here, there = socket.socketpair()
    with here, there:
        send(here, chunks)
        assert receive(there) == chunks


@given(st.data())
def test_a_message_that_is_cut_short_is_told(data):
    here, there = socket.socketpair()
    with here, there:
        send(here, [b"header", b"x" * 50])
        here.shutdown(socket.SHUT_WR)
        whole = there.recv(1000)
    one, other = socket.socketpair()
    with one, other:
        one.sendall(whole[: data.draw(st.integers(0, len(whole) - 1))])
        one.shutdown(socket.SHUT_WR)
        with pytest.raises(BrokenFrame, match="ended early"):
            receive(other)


@pytest.mark.parametrize(
    "head",
    [
        struct.pack(">I", MAX_CHUNKS + 1),
        struct.pack(">IQ", 1, 2**40),
        struct.pack(">I4Q", 4, *[2**29] * 4),
    ],
)
def test_more_than_a_message_may_hold_is_refused_before_memory_is_taken(head):
    here, there = socket.socketpair()
    with here, there:
        here.sendall(head)
        with pytest.raises(BrokenFrame, match="too"):
            receive(there)


def test_memory_is_taken_for_what_arrives_and_not_for_what_is_announced():
    here, there = socket.socketpair()
    with here, there:
        here.sendall(struct.pack(">IQ", 1, 2**30) + b"x" * 24)
        here.shutdown(socket.SHUT_WR)
        tracemalloc.start()
        with pytest.raises(BrokenFrame, match="ended early"):
            receive(there)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 4e6


@pytest.mark.parametrize("name", ["s", "a" * 120 + "/s"])
def test_call_asks_and_waits_for_the_answer(name, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        with address(path) as short:
            listener.bind(short)
        listener.listen()

        def answer():
            connection, _ = listener.accept()
            with connection:
                send(connection, [chunk[::-1] for chunk in receive(connection)])

        thread = threading.Thread(target=answer)
        thread.start()
        assert call(path, [b"abc", b""], 5.0) == [b"cba", b""]
        thread.join()


def test_call_does_not_wait_longer_than_told(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        with address(path) as short:
            listener.bind(short)
        listener.listen()
        with pytest.raises(TimeoutError):
            call(path, [b"abc"], 0.1)


@pytest.mark.parametrize("name", ["s", "a" * 120 + "/s"])
def test_a_socket_whose_owner_is_gone_is_told_from_one_that_is_listened_at(name, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    assert not listens(path)
    with socket.socket(socket.AF_UNIX) as listener:
        with address(path) as short:
            listener.bind(short)
        assert not listens(path)
        listener.listen()
        assert listens(path)
    assert path.exists()
    assert not listens(path)
