"""The engine's SuperNode, with a warm process for its ClientApps, and without its long pauses.

    python -m ufgraphfr.deploy.flower.supernode --superlink HOST:PORT ...    # as flower-supernode

The engine starts a process for each message, which imports for seconds and then works for some
hundredths of one, and it pauses for three seconds whenever no message has come. Here this process
has imported what a ClientApp needs, and forks for each message: the engine finds `hand_over` under
the name of its own command, on the path. If that fails, the engine's command runs as before. It
ends when the SuperNode, its child, ends, and ends it when it is told to end or is killed.
"""

import contextlib
import ctypes
import json
import logging
import os
import select
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ufgraphfr.deploy.flower import hand_over
from ufgraphfr.deploy.wire.unix_socket import address

logger = logging.getLogger(__name__)
SUPERNODE, CLIENTAPP = "flower-supernode", "flwr-clientapp"
PAUSE_SECONDS = 0.25
SHARE = 0.05
"""A pause is longer by this part of the wait so far, up to the engine's own: what is added to a
wait is small beside it, and nodes that wait for days do not ask the server four times a second."""
_LONG, _PARENT_DEATH_SIGNAL = 1.0, 1


class Pauses:
    """Stands for the module `time` where the engine looks for messages; its pauses are shorter."""

    def __init__(self) -> None:
        """Begins after a message."""
        self._waited = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        """Long pauses are between looks in vain, short ones are for a reply."""
        if seconds <= _LONG:
            self._waited = 0
        pause = min(seconds, PAUSE_SECONDS + SHARE * self._waited)
        self._waited += pause
        time.sleep(pause)


def main(words: list[str]) -> int:
    """Run the SuperNode until it ends; returns its exit status."""
    sys.argv = [SUPERNODE, *words]
    command = shutil.which(CLIENTAPP)
    if sys.platform != "linux" or command is None:
        os.execvp(SUPERNODE, sys.argv)
    try:
        from flwr.supernode import cli, start_client_internal

        import ufgraphfr.deploy.flower.client_app  # noqa: F401

        # its one clock; that it has one is held by a test
        vars(start_client_internal)["time"] = Pauses()
    except ImportError:
        logger.warning("this release of the engine has another form: it is run as it is")
        os.execvp(SUPERNODE, sys.argv)
    folder = Path(os.environ.get("FLWR_HOME", Path.home() / ".flwr")) / "warm"
    _write_stand_in(folder)
    os.environ[hand_over.PLACE], os.environ[hand_over.COMMAND] = str(folder), command
    os.environ["PATH"] = os.pathsep.join((str(folder), os.environ.get("PATH", os.defpath)))
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
        _to_its_end(cli.flower_supernode)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _tell(child, signal.SIGTERM))
    _answer(folder, child, cli.flwr_clientapp)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _write_stand_in(folder: Path) -> None:
    """The folder with what the engine takes for its own command."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / hand_over.NAME).unlink(missing_ok=True)
    script, stand_in = Path(hand_over.__file__), folder / CLIENTAPP
    line = shlex.join([sys.executable, "-IS", str(script)])
    stand_in.write_text(f'#!/bin/sh\nexec {line} "$@"\n', encoding="utf-8")
    stand_in.chmod(0o700)


def _answer(folder: Path, supernode: int, clientapp: Callable[[], None]) -> None:
    """Fork for each message until the SuperNode has ended."""
    before = os.umask(0o177)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with address(folder / hand_over.NAME) as short:
            listener.bind(short)
        os.umask(before)
        listener.listen()
        ended, apps = os.pidfd_open(supernode), list[int]()
        while ended not in select.select([listener.fileno(), ended], [], [])[0]:
            with listener.accept()[0] as connection:
                try:
                    words = _words(connection)
                except (OSError, ValueError):
                    continue
                if (app := os.fork()) == 0:
                    listener.close()
                    connection.close()
                    sys.argv = [CLIENTAPP, *words]
                    _to_its_end(clientapp)
                apps.append(app)
                with contextlib.suppress(OSError):
                    connection.sendall(hand_over.TAKEN)
            apps = [each for each in apps if os.waitpid(each, os.WNOHANG)[0] == 0]


def _words(connection: socket.socket) -> list[str]:
    """What `hand_over` says.

    Raises:
        ValueError: it says something else.
        OSError: it says nothing.
    """
    connection.settimeout(hand_over.SECONDS)
    said = bytearray()
    while part := connection.recv(2**16):
        said += part
    words = json.loads(said)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("no words")
    return words


def _to_its_end(command: Callable[[], None]) -> NoReturn:
    """Run a command of the engine in this process, which is a fork, and end it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        command()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        logger.exception("the engine's command failed")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tell(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
