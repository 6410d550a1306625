"""Peak memory and CPU time of a whole run of the flagship, on a generated table or one's own.

    python benchmarks/memory/flagship.py                              # 8,072 users, 11,830 items
    python benchmarks/memory/flagship.py --users 29858 --items 40981 --rows 1027370
    python benchmarks/memory/flagship.py --file my.toml --data-dir my/data

The run is a process of its own with one thread, and few rounds: each costs what the last did.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np

FILE = """
name = "generated"
[data]
kind = "table"
interactions = "table.csv"
sequential = true
[algorithm]
kind = "ufgraphformer"
"""


def write_table(path: Path, users: int, items: int, rows: int) -> None:
    """Everybody has 3 rows or more, the median about 6 of 8; popularity falls as 1 / rank^.9."""
    random = np.random.default_rng(0)
    spread = 0.74
    lengths = random.lognormal(np.log(rows / users) - spread**2 / 2, spread, users)
    lengths = lengths.round().astype(int).clip(max(3, -(-items // users)), items // 4)
    # the longest histories make up for what rounding added or took
    longest = lengths.argsort()[-users // 10 :]
    missing = rows - lengths.sum()
    lengths[longest] += missing // len(longest)
    lengths[longest[: missing % len(longest)]] += 1
    chance = np.arange(1, items + 1) ** -0.9
    bounds = np.cumsum(chance / chance.sum())
    # an item has a row at least
    waiting, each = list(random.permutation(items)), -(-items // users)
    with path.open("w") as table:
        table.write("user,item,time\n")
        for user, length in enumerate(lengths):
            own = set(waiting[-each:])
            del waiting[-each:]
            while len(own) < length:
                drawn = np.searchsorted(bounds, random.random(length - len(own)))
                own.update(drawn.clip(max=items - 1).tolist())
            for item in random.permutation(sorted(own)):
                table.write(f"u{user},i{item},{random.integers(10**9)}\n")


def run(file: Path, data_dir: Path, out: Path, settings: list[str]) -> None:
    """The run in a process of its own, and what it cost."""
    command = [sys.executable, "-m", "ufgraphfr", "run", str(file), "--quiet", "--threads", "1"]
    command += ["--data-dir", str(data_dir), "--out", str(out)]
    for setting in settings:
        command += ["--set", setting]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    config = tomllib.loads((out / "config.toml").read_text())
    graph = config["algorithm"].get("graph", {}).get("rounds", 8)
    result = json.loads((out / "result.json").read_text())
    told = {
        "graph round, CPU s": [line["cpu_seconds"] for line in lines[:graph]],
        "training round, CPU s": [line["cpu_seconds"] for line in lines[graph:]],
        "validation, s": [line["evaluate_seconds"] for line in lines if line["validation"]],
    }
    for name, values in told.items():
        if values:
            print(f"{name}: median {statistics.median(values):.2f}, most {max(values):.2f}")
    print(f"whole run: {spent.ru_utime + spent.ru_stime:.0f} CPU s, {spent.ru_maxrss // 1024:,} MB")
    print(json.dumps(result.get("test"), indent=None))


def main() -> None:
    """Write the table, or take one that is there, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=8_072)
    parser.add_argument("--items", type=int, default=11_830)
    parser.add_argument("--rows", type=int, default=63_836)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    settings = [f"federation.rounds={given.rounds}", f"evaluation.every={given.rounds}"]
    settings += ["federation.cohort=64"]
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        file, data = given.file, given.data_dir
        if file is None:
            file, data = there / "generated.toml", there
            file.write_text(FILE)
            write_table(there / "table.csv", given.users, given.items, given.rows)
        run(file, data or file.parent, there / "run", settings)


if __name__ == "__main__":
    main()
