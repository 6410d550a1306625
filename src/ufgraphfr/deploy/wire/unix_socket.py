"""Messages on a Unix socket: a count, the lengths, then the chunks; nothing but bytes.

Standard library only, because the engine's client process imports it and must start fast.
"""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_CHUNKS = 4
MOST_BYTES = 2**30
"""Of one chunk."""
LONGEST = 100
"""Bytes of a socket's name that every system takes."""


class BrokenFrame(ValueError):
    """What came is not a message, or not a whole one."""


def send(connection: socket.socket, chunks: list[bytes]) -> None:
    """Write one message."""
    head = struct.pack(f">I{len(chunks)}Q", len(chunks), *map(len, chunks))
    connection.sendall(head)
    # nothing after the last byte: whoever has the whole message may be gone already
    for chunk in filter(None, chunks):
        connection.sendall(chunk)


def receive(connection: socket.socket) -> list[bytes]:
    """Read one message.

    Raises:
        BrokenFrame: the sender stopped early, or announced more than a message may hold.
    """
    (count,) = struct.unpack(">I", _exactly(connection, 4))
    if count > MOST_CHUNKS:
        raise BrokenFrame("too many chunks")
    lengths = struct.unpack(f">{count}Q", _exactly(connection, 8 * count))
    if any(length > MOST_BYTES for length in lengths):
        raise BrokenFrame("a chunk is too long")
    return [_exactly(connection, length) for length in lengths]


@contextmanager
def address(path: Path) -> Iterator[str]:
    """A name of a socket that the system takes, however deep its folder lies."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listens(path: Path) -> bool:
    """Whether somebody listens at a socket; the file alone stays when its process was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            with address(path) as short:
                probe.connect(short)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True


def call(path: Path, chunks: list[bytes], seconds: float) -> list[bytes]:
    """Ask whoever listens at a socket, and wait for the answer.

    Args:
        path: of the socket.
        chunks: the request.
        seconds: how long any one step may take.

    Raises:
        OSError: nobody listens, or too slow an answer.
        BrokenFrame: the answer is not a message.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        with address(path) as short:
            connection.connect(short)
        send(connection, chunks)
        return receive(connection)


def _exactly(connection: socket.socket, length: int) -> bytes:
    buffer = bytearray(length)
    view, done = memoryview(buffer), 0
    while done < length:
        got = connection.recv_into(view[done:])
        if got == 0:
            raise BrokenFrame("the message ended early")
        done += got
    return bytes(buffer)
