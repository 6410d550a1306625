"""How much faster a run is with two workers: wall seconds a round, pairs of runs in turn.

    python benchmarks/scale/workers.py EXPERIMENT [--pairs 5] [--skip 8] [KEY=VALUE ...]

Each run is a process of its own with one thread a worker. Rounds before ``--skip`` are left out
(they collect a graph); the rest is training and aggregation, without evaluation.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def seconds(command: list[str], out: Path, skip: int) -> float:
    """Median wall seconds of a round."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--out", str(out)], env=environment, check=True, capture_output=True)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    rounds = [each["train_seconds"] + each["aggregate_seconds"] for each in lines[skip:]]
    return statistics.median(rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--skip", type=int, default=8)
    given = parser.parse_args()
    changes = [word for change in given.changes for word in ("--set", change)]
    run = ["-m", "ufgraphfr", "run", given.experiment, *changes]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(given.pairs):
            alone = [sys.executable, *run, "--threads", "1"]
            one = seconds(alone, Path(folder, f"one-{pair}"), given.skip)
            two = seconds([sys.executable, *launch, *run], Path(folder, f"two-{pair}"), given.skip)
            ratios.append(one / two)
            print(f"{one:.3f} s and {two:.3f} s a round: {one / two:.2f} times as fast", flush=True)
    print(f"median of {len(ratios)}: {statistics.median(ratios):.2f} (cores: {os.cpu_count()})")


if __name__ == "__main__":
    main()
