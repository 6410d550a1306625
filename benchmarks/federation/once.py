"""Check that no node of a deployment used a pad, or its budget, twice.

python benchmarks/federation/once.py FOLDER
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file, one a line."""
    return map(json.loads, path.read_text(encoding="utf-8").splitlines())


def paid(path: Path) -> Iterator[tuple[Any, ...]]:
    """Run, round and attempt of each payment in a ledger."""
    run = ""
    for entry in lines(path):
        run = entry.get("begins", run)
        if "spend" in entry:
            yield run, entry["spend"]["round"], entry["spend"].get("attempt", 1)


def used(path: Path) -> Iterator[tuple[Any, ...]]:
    """What each pad was used for."""
    names = ("agreement", "run", "kind", "round", "attempt")
    return (tuple(line[name] for name in names) for line in lines(path) if "round" in line)


def main(folder: Path) -> None:
    """Print how often each node paid and masked; exit 1 if anything of it is there twice."""
    wrong = False
    for shard in sorted(folder.glob("nodes/*/shard")):
        said = [shard.parent.name]
        for name, read in (("ledger.jsonl", paid), ("pads.jsonl", used)):
            path = shard / name
            found = Counter(read(path)) if path.exists() else Counter()
            said.append(f"{sum(found.values())} lines of {name}")
            for what, times in found.items():
                if times > 1:
                    said.append(f"TWICE: {what}")
                    wrong = True
        print(", ".join(said))
    sys.exit(int(wrong))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
