"""From measured stages to a table and a cost model: what each stage costs a user, a row, a client.

    python benchmarks/scale/model.py FILE

``FILE`` is what `stages.py` wrote. Each stage is divided by what it grows with; where the quotient
is the same at all sizes, the stage is linear. The lines are Markdown, for docs/scale.md.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

DRIVERS = {
    "load": "interactions",
    "prepare": "interactions",
    "digest": "interactions",
    "begin": "users",
    "round": "cohort",
    "checkpoint": "users",
    "evaluate": "pairs",
}
"""What each stage grows with; ``pairs`` are users that are asked times items."""
NAMES = {"interactions": "interaction", "users": "user", "cohort": "client", "pairs": "pair ranked"}


def cpu(line: dict[str, Any], stage: str) -> float:
    """CPU seconds of a stage; of rounds the median."""
    found = [each["cpu_s"] for name, each in line["stages"].items() if name.startswith(stage)]
    return statistics.median(found)


def amount(line: dict[str, Any], driver: str) -> int:
    """How much there is of what a stage grows with."""
    return line["asked"] * line["items"] if driver == "pairs" else line[driver]


def table(lines: list[dict[str, Any]]) -> list[str]:
    """CPU seconds by stage and size, and the peak of memory."""
    head = ["users", "items", "interactions", "cohort", *(f"{stage}, CPU s" for stage in DRIVERS)]
    head += ["prepared, MB", "peak, MB"]
    rows = [head, ["---:"] * len(head)]
    for line in lines:
        sizes = [f"{line[name]:,}" for name in head[:4]]
        peaks = [f"{line['stages'][stage]['peak_mb']:,}" for stage in ("begin", "evaluate")]
        rows.append([*sizes, *(f"{cpu(line, stage):.2f}" for stage in DRIVERS), *peaks])
    return [f"| {' | '.join(row)} |" for row in rows]


def formulas(lines: list[dict[str, Any]]) -> list[str]:
    """Microseconds of CPU for each unit of what a stage grows with, at every size."""
    sizes = [f"{line['users']:,} users" for line in lines]
    rows = [["stage", "µs CPU for each", *sizes], ["---", "---", *["---:"] * len(sizes)]]
    for stage, driver in DRIVERS.items():
        each = [1e6 * cpu(line, stage) / amount(line, driver) for line in lines]
        rows.append([stage, NAMES[driver], *(f"{value:.3g}" for value in each)])
    memory = [
        1e6
        * (line["stages"]["evaluate"]["peak_mb"] - line["stages"]["start"]["peak_mb"])
        / line["interactions"]
        for line in lines
    ]
    rows.append(
        ["peak beyond the start", "bytes for each interaction", *(f"{m:.0f}" for m in memory)]
    )
    return [f"| {' | '.join(row)} |" for row in rows]


def main() -> None:
    """Print the table and the quotients, smallest size first."""
    lines = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    lines.sort(key=lambda line: (line["kind"], line["users"], line["items"]))
    for kind in dict.fromkeys(line["kind"] for line in lines):
        own = [line for line in lines if line["kind"] == kind]
        print(f"`{kind}`:\n", *table(own), "", *formulas(own), "", sep="\n")


if __name__ == "__main__":
    main()
