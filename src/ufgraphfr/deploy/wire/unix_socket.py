"""Messages on a Unix socket: a count, the lengths, then the chunks; nothing but bytes.

Standard library only, because the engine's client process imports it and must start fast.
"""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

MAX_CHUNKS = 4
MAX_BYTES = 2**30
"""Of all chunks together; no more memory is taken than has arrived."""
_AT_ONCE = 2**20
MAX_NAME_BYTES = 100
"""Bytes of a socket's name that every system takes."""


class BrokenFrame(ValueError):
    """The bytes received are not a message, or not a whole one."""


def send(connection: socket.socket, chunks: list[bytes]) -> None:
    """Write one message."""
    head = struct.pack(f">I{len(chunks)}Q", len(chunks), *map(len, chunks))
    connection.sendall(head)
    # no empty write after the last byte: the receiver may have closed the connection by then
    for chunk in filter(None, chunks):
        connection.sendall(chunk)


def receive(
    connection: socket.socket, arrived: Callable[[int], None] = lambda _: None
) -> list[bytes]:
    """Read one message.

    Args:
        connection: to the sender.
        arrived: is told of bytes before they are kept, and may raise `BrokenFrame`.

    Raises:
        BrokenFrame: the sender stopped early, or announced more than a message may hold.
    """
    (count,) = struct.unpack(">I", _exactly(connection, 4))
    if count > MAX_CHUNKS:
        raise BrokenFrame("too many chunks")
    lengths = struct.unpack(f">{count}Q", _exactly(connection, 8 * count))
    if sum(lengths) > MAX_BYTES:
        raise BrokenFrame("the chunks are too long")
    return [_exactly(connection, length, arrived) for length in lengths]


@contextmanager
def address(path: Path) -> Iterator[str]:
    """A name of a socket that the system takes, however deep its folder is."""
    if len(os.fsencode(path)) <= MAX_NAME_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listens(path: Path) -> bool:
    """Whether a process listens at a socket; the file alone stays when its process was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            with address(path) as short:
                probe.connect(short)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True


def call(path: Path, chunks: list[bytes], seconds: float) -> list[bytes]:
    """Ask the process that listens at a socket, and wait for its answer.

    Args:
        path: of the socket.
        chunks: the request.
        seconds: how long each step may take.

    Raises:
        OSError: nobody listens, or the answer takes too long.
        BrokenFrame: the answer is not a message.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        with address(path) as short:
            connection.connect(short)
        send(connection, chunks)
        return receive(connection)


def _exactly(
    connection: socket.socket, length: int, arrived: Callable[[int], None] = lambda _: None
) -> bytes:
    # which hands its memory over, where an array of bytes would be copied
    buffer = BytesIO()
    while (left := length - buffer.tell()) > 0:
        part = connection.recv(min(_AT_ONCE, left))
        if not part:
            raise BrokenFrame("the message ended early")
        arrived(len(part))
        buffer.write(part)
    return buffer.getvalue()
