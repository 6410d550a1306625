"""Processes on this machine: started, watched and stopped by their numbers.

The system gives the number of a process that has ended to another one. So a process is identified
by its number and the moment it started.
"""

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ufgraphfr.core.folders import write_atomically

STATE, PARENT, SESSION, START = 0, 1, 3, 19
"""Fields of /proc/PID/stat after the name; the start counts clock ticks since the machine's."""

MAX_LOG_BYTES = 16 * 2**20
"""Of a log that a process is started on."""


@dataclass(frozen=True)
class Process:
    """A process of this machine.

    Attributes:
        pid: its number.
        started: its start, in clock ticks since the machine's.
    """

    pid: int
    started: int

    @staticmethod
    def of(pid: int) -> "Process | None":
        """The process that has a number now."""
        stat = _stat(pid)
        return None if stat is None else Process(pid, int(stat[START]))

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        stat = _stat(self.pid)
        if stat is None or int(stat[START]) != self.started:
            return False
        if stat[STATE] == "Z":
            # a child of ours: its number is taken, and while a thread of it still ends, its files
            # and sockets are open
            with contextlib.suppress(ChildProcessError):
                return os.waitpid(self.pid, os.WNOHANG)[0] == 0
            return False
        return True

    def descendants(self) -> list["Process"]:
        """Children and theirs, and what is left of its session if it has ended."""
        now = Process.of(self.pid)
        if now is not None and now != self:
            return []
        family, size = {self.pid}, 0
        stats = {int(path.name): _stat(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
        while len(family) > size:
            size = len(family)
            family |= {
                pid
                for pid, stat in stats.items()
                if stat is not None
                and (int(stat[PARENT]) in family or int(stat[SESSION]) == self.pid)
            }
        others = (Process.of(pid) for pid in sorted(family - {self.pid}))
        return [process for process in others if process is not None]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start(command: list[str], environment: dict[str, str], log: Path) -> Process:
    """Start a process that outlives this one; its output is added to a log.

    A log that has grown long becomes ``NAME.1.log``, in the place of the one before.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(f".1{log.suffix}"))
    added = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        command[0],
        command,
        environment,
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), added, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    return Process.of(pid) or Process(pid, -1)


def end(processes: list[Process], seconds: float = 10.0) -> int:
    """Stop processes and what they started; processes that ignore SIGTERM are killed.

    Returns:
        How many were killed.
    """
    family = [*processes, *(child for each in processes for child in each.descendants())]
    for process in family:
        process.signal(signal.SIGTERM)
    remaining = _still_alive(family, seconds)
    for process in remaining:
        process.signal(signal.SIGKILL)
    _still_alive(remaining, seconds)
    return len(remaining)


def _still_alive(processes: list[Process], seconds: float) -> list[Process]:
    """The processes that still run after that time; returns as soon as none does."""
    until = time.monotonic() + seconds
    while (alive := [each for each in processes if each.alive]) and time.monotonic() < until:
        time.sleep(0.05)
    return alive


def save(path: Path, processes: dict[str, Process]) -> None:
    """Write down what was started."""
    write_atomically(path, json.dumps({k: vars(v) for k, v in processes.items()}).encode())


def read(path: Path) -> dict[str, Process]:
    """What was started and written down."""
    if not path.exists():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    return {name: Process(**facts) for name, facts in document.items()}


def _stat(pid: int) -> list[str] | None:
    try:
        # the name, in brackets, may hold spaces
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
