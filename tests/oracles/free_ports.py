"""Ports for servers that a test starts."""

import os
import socket
from contextlib import ExitStack

FIRST_PORT, LAST_PORT = 20_000, 32_000


def free_ports(count: int) -> list[int]:
    """Ports next to each other that nobody has.

    They are below those that the system gives to whoever asks for any, and each worker of the
    tests looks at others first: none is taken between this look and its use.
    """
    start = os.getpid() * 10
    for place in range(start, start + LAST_PORT - FIRST_PORT, 10):
        first = FIRST_PORT + place % (LAST_PORT - FIRST_PORT)
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    probe = held.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return list(range(first, first + count))
    raise OSError("no free ports")
