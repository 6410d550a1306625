"""Processes on this machine: started, looked after and ended by their numbers.

A number may be given to another process once its own has ended, so a process is known by its
number and the moment it started.
"""

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ufgraphfr.core.folders import write_atomically

STAT_PARENT, STAT_START = 1, 19
"""Fields of /proc/PID/stat after the name: the parent, and the start in clock ticks."""


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
        return None if stat is None else Process(pid, int(stat[STAT_START]))

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        stat = _stat(self.pid)
        return stat is not None and int(stat[STAT_START]) == self.started and stat[0] != "Z"

    def descendants(self) -> list["Process"]:
        """Children and theirs."""
        children: dict[int, list[int]] = {}
        for path in Path("/proc").iterdir():
            stat = _stat(int(path.name)) if path.name.isdigit() else None
            if stat is not None:
                children.setdefault(int(stat[STAT_PARENT]), []).append(int(path.name))
        found, todo = [], list(children.get(self.pid, []))
        while todo:
            pid = todo.pop()
            process = Process.of(pid)
            if process is not None:
                found.append(process)
            todo += children.get(pid, [])
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start(command: list[str], environment: dict[str, str], log: Path) -> Process:
    """Start a process that outlives this one; its output is added to a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
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
    """End processes and what they started; who does not listen is killed.

    Returns:
        How many had to be killed.
    """
    everyone = [*processes, *(child for each in processes for child in each.descendants())]
    for process in everyone:
        process.signal(signal.SIGTERM)
    until = time.monotonic() + seconds
    while any(process.alive for process in everyone) and time.monotonic() < until:
        time.sleep(0.1)
    left = [process for process in everyone if process.alive]
    for process in left:
        process.signal(signal.SIGKILL)
    return len(left)


def save(path: Path, processes: dict[str, Process]) -> None:
    """Write down what was started."""
    write_atomically(path, json.dumps({k: vars(v) for k, v in processes.items()}).encode())


def read(path: Path) -> dict[str, Process]:
    """What was started and written down."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: Process(**facts) for name, facts in found.items()}


def _stat(pid: int) -> list[str] | None:
    try:
        # the name, in brackets, may hold spaces
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
