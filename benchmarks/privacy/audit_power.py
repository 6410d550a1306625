"""How often an audit catches noise that is too small by the root of two, and fails what is right.

Each repetition plays all canaries of a run under epsilon 1 anew, with coins and noise of its own
(repetition r has seed r; noise comes from the operating system), as they are and with every draw of
noise divided by the root of two. Printed is how many repetitions each figure fails, and how many
any of them fails.

python benchmarks/privacy/audit_power.py --repeats 50
python benchmarks/privacy/audit_power.py --experiment experiments/private/ml100k_eps1.toml
"""

import argparse
import math
import tempfile
import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from torch import Tensor

from ufgraphfr.audit.attacks.canaries import Canaries
from ufgraphfr.audit.recording import FinishedRun, Recording
from ufgraphfr.audit.replay import record
from ufgraphfr.audit.report import Guarantee, judge
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.finished import Run
from ufgraphfr.privacy.accounted.gaussian import NoisedSums

TOYS: dict[str, dict[str, Any]] = {
    "flagship": {
        "algorithm": {
            "kind": "ufgraphformer",
            "private": {"graph_items": 12, "graph_share": 0.5},
        },
        "federation": {"rounds": 2},
    },
    "fedmf": {
        "algorithm": {"kind": "fedmf", "dim": 4},
        "federation": {"rounds": 3, "cohort": 0.3},
        "privacy": {"clip": 0.5},
    },
    "fedncf, row cap": {
        "algorithm": {"kind": "fedncf", "dim": 4},
        "federation": {"rounds": 2},
        "privacy": {"clip": 0.5, "row_cap": 0.3},
    },
    "devices": {
        "algorithm": {"kind": "ufgraphformer"},
        "federation": {"rounds": 1},
        "privacy": {"kind": "ldp"},
    },
}
DATA = {
    "data": {"kind": "synthetic", "users": 90, "items": 60, "groups": 3, "interactions": 10},
    "text": {"kind": "hashing", "width": 16},
}
BUDGET = {"kind": "central-jdp", "epsilon": 1.0, "delta": 1e-5}


def finished(experiment: Experiment) -> tuple[Recording, Guarantee]:
    """An experiment run, and recorded for an audit."""
    folder = Path(tempfile.mkdtemp()) / "run"
    list(execute(experiment, folder, device="cpu"))
    guarantee = Guarantee.of(Run(folder).result)
    if guarantee is None:
        raise SystemExit("no guarantee, so nothing to catch")
    return record(FinishedRun.open(folder), 1, 3), guarantee


def failures(
    recording: Recording, guarantee: Guarantee, repeats: int, factor: float
) -> Counter[str]:
    """How many of the repetitions fail by each figure, and by any, with noise divided by factor."""
    honest, failed = NoisedSums._noise, Counter()

    def smaller(own: NoisedSums, like: Tensor, std: float, *more: Any) -> Tensor:
        return honest(own, like, std / factor, *more)

    with mock.patch.object(NoisedSums, "_noise", smaller):
        for seed in range(repeats):
            anew = replace(recording, experiment=replace(recording.experiment, seed=seed))
            found = Canaries().run(anew)
            lines = [judge("canaries", "", figure, guarantee) for figure in found]
            names = {
                f"{each.finding.view}, {each.finding.measure}"
                for each in lines
                if each.verdict == "FAIL"
            }
            failed.update(names | ({"any"} if names else set()))
    return failed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--experiment", type=Path, help="instead of the small generated ones")
    asked = parser.parse_args()
    if asked.experiment:
        runs = {str(asked.experiment): build(tomllib.loads(asked.experiment.read_text()))}
    else:
        runs = {
            name: build(DATA | values | {"privacy": {**BUDGET, **values.get("privacy", {})}})
            for name, values in TOYS.items()
        }
    for name, experiment in runs.items():
        recorded = finished(experiment)
        for told, factor in (("as stated", 1.0), ("too small by the root of 2", math.sqrt(2))):
            found = failures(*recorded, asked.repeats, factor)
            print(
                f"{name}: noise {told}: {found['any']} of {asked.repeats} audits fail", flush=True
            )
            for figure, count in found.most_common():
                if figure != "any":
                    print(f"    {count:3d}  {figure}", flush=True)


if __name__ == "__main__":
    main()
