"""Whether a deployment that goes on and on grows: memory, files, descriptors and logs by round.

    python benchmarks/federation/soak.py FOLDER --rounds 40

Two nodes on this machine, over the engine, TLS and keys, with made-up users. A line for each round,
and at last how each figure went from the first quarter of the rounds to the last, how long rounds
took, and how much of the processors each process and what it started had for one.

It ends what it started, also when it is told to end.
"""

import argparse
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ufgraphfr.deploy.operations import processes
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft_tryout, write
from ufgraphfr.deploy.operations.launcher import down, up
from ufgraphfr.deploy.server.liveness import WAITING
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.experiment import build

MIB = 2**20


def experiment(rounds: int, users: int) -> dict[str, object]:
    """One that trains in a moment."""
    return {
        "name": "soak",
        "data": {"kind": "synthetic", "users": users, "items": 200, "interactions": 12},
        "text": {"kind": "hashing", "width": 16},
        "algorithm": {"kind": "fedmf", "dim": 8},
        "federation": {"rounds": rounds, "cohort": users // 2},
        "evaluation": {"every": 5},
    }


def memory(pid: int) -> int:
    """Resident bytes of a process; 0 if it has ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * 4096


def descriptors(pid: int) -> int:
    """Open files of a process; 0 if it has ended."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def cpu_seconds(pid: int) -> float:
    """What a process had of the processors, with children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def size(paths: list[Path]) -> int:
    """Bytes of files."""
    return sum(path.stat().st_size for path in paths if path.is_file())


def look(folder: Deployment) -> dict[str, float]:
    """All figures now: of processes that last, with what they started, and of files."""
    found: dict[str, float] = {}
    for name, process in processes.read(folder.processes).items():
        # the engine starts short ones beside those that last
        everything = [process, *process.descendants()]
        family = [process, *(each for each in everything[1:] if lasting(each.pid))]
        found[f"{name} MiB"] = sum(memory(each.pid) for each in family) / MIB
        found[f"{name} fds"] = sum(descriptors(each.pid) for each in family)
        found[f"{name} CPU s"] = sum(cpu_seconds(each.pid) for each in everything)
    shards = list(folder.path.glob("nodes/*/shard"))
    found["logs kB"] = size(list(folder.logs.iterdir())) / 1e3
    found["shards kB"] = sum(size(list(shard.rglob("*"))) for shard in shards) / 1e3
    found["files"] = sum(len(list(shard.rglob("*"))) for shard in shards)
    return found


def lasting(pid: int) -> bool:
    """Whether a process is one of the engine's that are there from the start."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"deploy.flower.supernode" in command or b"flower-superexec" in command


def told(seen: list[dict[str, float]], moments: list[float]) -> Iterator[str]:
    """How each figure went over the rounds."""
    quarter = max(1, len(seen) // 4)
    for name in seen[-1]:
        if name.endswith("CPU s"):
            each = (seen[-1][name] - seen[0][name]) / max(1, len(seen) - 1)
            yield f"{name} a round: {each:.2f}"
            continue
        first, last = (
            statistics.median(each[name] for each in part)
            for part in (seen[:quarter], seen[-quarter:])
        )
        yield f"{name}: {first:.1f} -> {last:.1f}"
    if took := [after - before for before, after in pairwise(moments)]:
        median = statistics.median(took)
        yield f"seconds a round: {min(took):.1f} to {max(took):.1f}, median {median:.1f}"


def main() -> None:
    """Run, and print."""
    # as by Ctrl-C, which ends the processes too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--port", type=int, default=18_743)
    given = parser.parse_args()
    folder = Deployment(given.folder.resolve())
    settings = ServerSettings(port=given.port, node_port=given.port + 2)
    write(folder, draft_tryout(build(experiment(given.rounds, given.users)), 2, folder), settings)
    seen, moments, state = list[dict[str, float]](), list[float](), WAITING[0]
    try:
        up(folder)
        while state in WAITING:
            time.sleep(0.2)
            values = read_metrics(folder.server.metrics)
            state = values.get("state", state)
            if values.get("rounds", 0) > len(seen):
                moments.append(time.monotonic())
                seen.append(look(folder))
                line = "  ".join(f"{name} {value:.0f}" for name, value in seen[-1].items())
                print(f"round {values['rounds']}: {line}", flush=True)
    except KeyboardInterrupt:
        state = "ended by a signal"
    finally:
        # what a second signal would leave behind
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        down(folder)
    print(state)
    for line in told(seen, moments) if seen else ():
        print(line)
    sys.exit(int(state != "finished"))


if __name__ == "__main__":
    main()
