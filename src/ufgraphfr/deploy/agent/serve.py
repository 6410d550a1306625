"""The agent's loop: one request at a time, on a Unix socket that its group may open.

Requests are received side by side, so that a caller who says nothing keeps nobody waiting.
"""

import logging
import os
import signal
import socket
import threading
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import TypeAlias

from ufgraphfr.core.allocator import give_back_freed_memory
from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.wire.unix_socket import (
    MAX_BYTES,
    BrokenFrame,
    address,
    listens,
    receive,
    send,
)

logger = logging.getLogger(__name__)
RECEIVE_SECONDS, SEND_SECONDS = 10.0, 60.0
"""For each step of a caller: it is on this machine, and has its request at hand."""
MAX_CALLERS = 32
"""Requests that are received or wait; more callers wait to be accepted."""
MAX_WAITING_BYTES = 2 * MAX_BYTES
"""Of all requests that are received or wait; a caller beyond that is left."""


class Room:
    """Memory for requests that arrive side by side."""

    def __init__(self, size: int) -> None:
        """Takes the bytes that there are."""
        self._left, self._lock = size, threading.Lock()

    def take(self, size: int) -> None:
        """Take bytes, or give them back with a negative size.

        Raises:
            BrokenFrame: there are not so many.
        """
        with self._lock:
            if size > self._left:
                raise BrokenFrame("no room for more requests at once")
            self._left -= size


class Caller:
    """One caller, and what its request takes up until it is answered."""

    def __init__(self, connection: socket.socket, room: Room) -> None:
        """Takes a connection that was accepted."""
        self.connection, self._room, self._taken = connection, room, 0

    def request(self) -> list[bytes]:
        """Receive its request.

        Raises:
            BrokenFrame: it is none, or there is no room.
        """

        def arrived(size: int) -> None:
            self._room.take(size)
            self._taken += size

        return receive(self.connection, arrived)

    def leave(self) -> None:
        """Close the connection, and give the room back."""
        self.connection.close()
        self._room.take(-self._taken)


Received: TypeAlias = SimpleQueue[tuple[Caller, list[bytes]]]
"""Callers whose requests are there whole."""


class _Stopped(BaseException):
    """The operator asked the agent to stop; no `except Exception` may catch it."""


def serve(agent: Agent, path: Path) -> None:
    """Answer requests until the process is told to stop.

    Raises:
        InputError: another agent listens there, or the socket cannot be made.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    listener = listen(path)
    logger.info("listening at %s", path)
    received, slots = Received(), threading.BoundedSemaphore(MAX_CALLERS)
    threading.Thread(target=_accept, args=(listener, received, slots), daemon=True).start()
    try:
        while True:
            caller, chunks = received.get()
            _answer(agent, caller.connection, chunks)
            del chunks
            caller.leave()
            slots.release()
    except _Stopped:
        logger.info("stopped")
    finally:
        listener.close()
        path.unlink(missing_ok=True)


def _accept(listener: socket.socket, received: Received, slots: threading.BoundedSemaphore) -> None:
    """Take callers in until the socket is closed, each in a thread of its own."""
    room = Room(MAX_WAITING_BYTES)
    while True:
        slots.acquire()
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(RECEIVE_SECONDS)
        words = Caller(connection, room), received, slots
        threading.Thread(target=_receive, args=words, daemon=True).start()


def _receive(caller: Caller, received: Received, slots: threading.BoundedSemaphore) -> None:
    """A caller's request, for the loop; one who sends none is left."""
    try:
        chunks = caller.request()
    except (BrokenFrame, OSError, MemoryError) as error:
        logger.warning("a caller failed: %s", type(error).__name__)
        caller.leave()
        slots.release()
    else:
        received.put((caller, chunks))


def _answer(agent: Agent, connection: socket.socket, chunks: list[bytes]) -> None:
    """One request; a caller that fails harms nobody else."""
    connection.settimeout(SEND_SECONDS)
    try:
        send(connection, agent.answer(chunks))
    except (BrokenFrame, OSError) as error:
        logger.warning("a caller failed: %s", type(error).__name__)
    # the next request may be hours away
    give_back_freed_memory()


def listen(path: Path) -> socket.socket:
    """A socket that its owner and its group may open.

    Raises:
        InputError: another process listens there, or the socket cannot be made.
    """
    if listens(path):
        raise InputError(f"another process already listens at {path}: end it first")
    # left behind by one that was killed
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        with address(path) as short:
            listener.bind(short)
    except OSError as error:
        raise InputError(
            f"cannot listen at {path} ({error.strerror}): may this user write there?"
        ) from None
    finally:
        os.umask(before)
    listener.listen()
    return listener


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped
