"""Whether the process of a run lives, and the operator's wish that it should pause or stop.

The process holds a lock on a file. The system takes the lock away when the process ends, however it
ends, so the lock is measured and no file says what is no longer so.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.metrics import read_metrics

STARTING, PAUSED, STOPPED = "starting", "paused", "stopped"
UNDER_WAY = ("waiting for nodes", "running", "publishing")
"""States in which a process of the run lives."""
WAITING = (STARTING, *UNDER_WAY)
"""States after which something comes by itself."""
ENDING = 30.0
"""Seconds that a process may take to end after it has said that the run has."""
LOOKS = 10
"""Tries to get the lock, a tenth of a second apart."""


@contextmanager
def living(folder: ServerFolder) -> Iterator[None]:
    """Hold the run's lock, for as long as this process works at it.

    Raises:
        InputError: another process does.
    """
    with folder.alive.open("a") as file:
        for left in reversed(range(LOOKS)):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if not left:
                    raise InputError(f"another process works at the run in {folder.path}") from None
                # whoever looks holds it too, for a moment
                time.sleep(0.1)
        yield


def lives(folder: ServerFolder) -> bool:
    """Whether a process works at the run now."""
    if not folder.alive.exists():
        return False
    with folder.alive.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def under_way(folder: ServerFolder) -> bool:
    """Whether a run is under way; one that has said how it ended is waited for, until it lets go.

    Its process is at work for a moment after that: it tells the engine.
    """
    last = time.monotonic() + ENDING
    while lives(folder):
        if read_metrics(folder.metrics).get("state") in WAITING or time.monotonic() > last:
            return True
        time.sleep(0.1)
    return False


def dead(folder: ServerFolder, startup_timeout: float) -> tuple[str, str] | None:
    """What happened to a run that should live and does not, and what to do; None if all is well.

    Args:
        folder: of the server.
        startup_timeout: seconds in which the engine begins a run.
    """
    if lives(folder):
        return None
    # after the lock: a process says how it ended before it lets go
    values = read_metrics(folder.metrics)
    state = values.get("state")
    go_on = "go on from the last checkpoint: see that the server runs, then ufgraphfr deploy start"
    if state in UNDER_WAY:
        return (
            f"the run's process died in state '{state}' after round {values['rounds']} (killed, or "
            f"out of memory): the rounds that are done are kept"
        ), go_on
    if state == STARTING and time.time() - values["time"] > startup_timeout:
        return f"the engine has not begun the run for {startup_timeout:g} s", go_on
    return None


class Stopped(Exception):
    """The operator wishes that the run stops."""


def pausing(folder: ServerFolder) -> bool:
    """Whether the operator wishes a pause."""
    return folder.pause.exists()


def heed_stop(folder: ServerFolder) -> None:
    """See that the run goes on; called wherever it waits for nodes.

    Raises:
        Stopped: the operator wishes that it stops.
    """
    if folder.stop.exists():
        raise Stopped


def ask_pause(folder: ServerFolder) -> None:
    """Wish that the run pauses once its round is done and kept.

    Raises:
        InputError: no run is under way.
    """
    _wish(folder, folder.pause, "pause")


def ask_stop(folder: ServerFolder) -> None:
    """Wish that the run stops now, without the round that it waits for.

    Raises:
        InputError: no run is under way.
    """
    _wish(folder, folder.stop, "stop")


def forget_wishes(folder: ServerFolder) -> None:
    """A wish is for the run that was under way when it was made."""
    folder.pause.unlink(missing_ok=True)
    folder.stop.unlink(missing_ok=True)


def _wish(folder: ServerFolder, wish: Path, what: str) -> None:
    if not under_way(folder):
        state = read_metrics(folder.metrics).get("state", "no run has begun")
        raise InputError(f"no run is under way in {folder.path} ({state}): nothing to {what}")
    wish.touch()


def measured(folder: ServerFolder, startup_timeout: float) -> dict[str, Any]:
    """The counters, with a state that was measured; nothing before the first run."""
    found = dead(folder, startup_timeout)
    # after the look: a process says how it ended before it lets the lock go
    values = read_metrics(folder.metrics)
    return values | {"state": ": ".join(found)} if found else values
