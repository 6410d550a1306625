"""The agent's loop: one request at a time, on a Unix socket that its group may open."""

import logging
import os
import signal
import socket
from pathlib import Path
from types import FrameType

from ufgraphfr.core.allocator import give_back_freed_memory
from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.wire.unix_socket import BrokenFrame, address, listens, receive, send

logger = logging.getLogger(__name__)
CALLER_TIMEOUT_SECONDS = 60.0
"""For each step of a caller that has connected."""


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
    try:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(CALLER_TIMEOUT_SECONDS)
                _answer(agent, connection)
    except _Stopped:
        logger.info("stopped")
    finally:
        listener.close()
        path.unlink(missing_ok=True)


def _answer(agent: Agent, connection: socket.socket) -> None:
    """One request; a caller that fails harms nobody else."""
    try:
        send(connection, agent.answer(receive(connection)))
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
