"""CPU seconds and memory of every stage of a run, as users grow; each size in its own process.

    python benchmarks/scale/stages.py 10000x10000 100000x100000 [--mean 50] [--cohort 10000]
        [--kind fedmf] [--asked 10000] [--rounds 3] [--chunk 128] [--graph KEY=NUMBER ...]
        [--out FILE]

The population is generated: items with a popularity tail, groups tied to profiles, histories in an
order. Memory is the most the process has held within a stage, Linux only. A JSON line for each size
is added to ``--out``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ufgraphfr.algorithms.capabilities import asks_all_clients
from ufgraphfr.core.allocator import keep_freed_memory
from ufgraphfr.core.keys import Key
from ufgraphfr.experiment.checkpoint import Checkpoint, save_checkpoint
from ufgraphfr.experiment.config import build
from ufgraphfr.experiment.derive import derive
from ufgraphfr.experiment.population import Simulated
from ufgraphfr.experiment.prepare import arranged
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.federation.loop import rounds
from ufgraphfr.privacy.accounted.ledger import Ledger


def experiment_of(users: int, items: int, given: argparse.Namespace) -> dict[str, Any]:
    """The values of an experiment on a generated population."""
    graph = {key: int(value) for key, value in (each.split("=") for each in given.graph)}
    return {
        "name": "scale",
        "data": {
            "kind": "synthetic",
            "users": users,
            "items": items,
            "groups": 20,
            "interactions": given.mean,
            "popularity": 1.0,
            "order": "chain",
        },
        "text": {"kind": "hashing", "width": 64},
        "algorithm": {"kind": given.kind} | ({"graph": graph} if graph else {}),
        "federation": {
            "rounds": given.rounds,
            "cohort": min(given.cohort, users),
            "chunk": given.chunk,
        },
        "evaluation": {"users": given.asked},
    }


def held() -> float:
    """The most this process has held since that was last forgotten, MB, mapped files included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


class Stages:
    """What each stage cost."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what is done within."""
        # 5 forgets the most that was held before, see proc(5)
        Path("/proc/self/clear_refs").write_text("5")
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        peak = held()
        self.found[name] = {
            "cpu_s": round(time.process_time() - cpu, 3),
            "wall_s": round(time.perf_counter() - wall, 3),
            "peak_mb": round(peak),
        }
        print(f"{name:12} {self.found[name]}", file=sys.stderr, flush=True)


def measure(values: dict[str, Any]) -> dict[str, Any]:
    """Every stage once, the rounds several times."""
    keep_freed_memory()
    experiment, stages = build(values), Stages()
    with stages.stage("start"):
        torch.zeros(1)
    with stages.stage("load"):
        dataset = experiment.source.load()
    with stages.stage("prepare"):
        prepared = arranged(experiment, dataset)
    with stages.stage("digest"):
        digest = prepared.facts["digest"]
    experiment = derive(experiment, prepared.public_facts, prepared.setting)
    population = Simulated(experiment, prepared, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        with stages.stage("begin"):
            algorithm = model_in_use(experiment, population.setting)
            mechanism = population.mechanism(algorithm, Ledger(Path(folder, "ledger")))
            transport = population.begin(algorithm, mechanism, None)
            aggregator = population.aggregator(algorithm, mechanism)
            state = population.initial(algorithm)
        steps = rounds(
            aggregator,
            mechanism,
            transport,
            experiment.federation,
            population.clients,
            state,
            Key(experiment.seed),
        )
        last = experiment.federation.rounds
        for number in range(1, last + 1):
            collects = asks_all_clients(algorithm, number)
            with stages.stage(f"{'graph' if collects else 'round'} {number}"):
                done = next(steps)
        with stages.stage("checkpoint"):
            path = Path(folder, "checkpoint")
            save_checkpoint(path, Checkpoint(last, 1, 0.0, done.state, population.private()))
        size = path.stat().st_size
    with stages.stage("evaluate"):
        _, found = population.validate(done.state, last, pick=True)
    rows = dataset.interactions
    return {
        "users": rows.n_users,
        "items": rows.n_items,
        "interactions": len(rows),
        "asked": len(prepared.validation.clients),
        "cohort": done.clients,
        "kind": algorithm.kind,
        "checkpoint_bytes": size,
        "digest": digest,
        "validation": found,
        "stages": stages.found,
    }


def main() -> None:
    """Each size in a process of its own, since a peak never falls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="+", metavar="USERSxITEMS")
    parser.add_argument("--mean", type=int, default=50)
    parser.add_argument("--cohort", type=int, default=10_000)
    parser.add_argument("--kind", default="fedmf")
    parser.add_argument("--asked", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=128)
    parser.add_argument("--graph", nargs="*", default=[], help="keys of [algorithm.graph]")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if len(given.sizes) > 1:
        for size in given.sizes:
            options = [word for word in sys.argv[1:] if word not in given.sizes]
            subprocess.run([sys.executable, __file__, size, *options], check=True)
        return
    users, items = map(int, given.sizes[0].split("x"))
    line = json.dumps(measure(experiment_of(users, items, given)))
    print(line)
    if given.out is not None:
        with given.out.open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
