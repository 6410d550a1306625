"""Finished run folders to one small JSON for each configuration, a row of LEADERBOARD.md.

python benchmarks/accuracy/record.py RUN_DIR... [--set KEY=VALUE ...]

Runs that differ in their seed alone are one row. A row names the experiment file (and the --set)
that regenerates it; what no file gives is refused. Nothing of any user is kept: metrics are means.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ufgraphfr.core.errors import InputError
from ufgraphfr.evaluation.metrics import per_user, values
from ufgraphfr.experiment.compare import ComparedRun, grouped, read_run
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.derive import settled
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.reading import read
from ufgraphfr.experiment.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
SCHEMA = "ufgraphfr-accuracy-1"
DIGITS = 6
NOT_OF_THE_ENVIRONMENT = (
    "commit",
    "started",
    "data_sha256",
    "data_digest",
    "experiment_folder",
)


def configuration(experiment: Experiment) -> dict[str, Any]:
    """All settings but seed and name; files by their names, without this machine's paths."""
    settings = {k: v for k, v in experiment.resolved().items() if k not in ("seed", "name")}
    settings["data"] = {
        key: Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
        for key, value in settings["data"].items()
    }
    return settings


def regenerated_by(experiment: Experiment, experiments: Path, overrides: tuple[str, ...]) -> Path:
    """The experiment file that gives an experiment up to its seed, with these overrides.

    Raises:
        InputError: no file does.
    """
    for path in sorted(experiments.rglob("*.toml")):
        try:
            given = settled(read(path, overrides), experiment)
        except InputError:
            # overrides of one experiment may make no sense in another
            continue
        if given.group == experiment.group:
            return path
    changed = " with --set " + " ".join(overrides) if overrides else ""
    raise InputError(
        f"no file under {experiments}{changed} gives the configuration of this run "
        f"({experiment.model.kind} on {experiment.source.kind}): add one, or name what the run was "
        f"given besides its file by --set"
    )


def over_seeds(samples: Sequence[float]) -> dict[str, float | None]:
    """Mean, and standard deviation over seeds if there are several."""
    spread = round(float(np.std(samples, ddof=1)), DIGITS) if len(samples) > 1 else None
    return {"mean": round(float(np.mean(samples)), DIGITS), "spread": spread}


def metrics(runs: list[ComparedRun], part: str) -> dict[str, dict[str, dict[str, float | None]]]:
    """Every metric of ``validation`` or ``test`` over seeds."""
    found = [run.result[part] for run in runs]
    return {
        ranking: {name: over_seeds([one[ranking][name] for one in found]) for name in named}
        for ranking, named in found[0].items()
    }


def kept_out(runs: list[ComparedRun], part: str) -> dict[str, dict[str, float | None]] | None:
    """Metrics of the users or items that were kept out of training, if any were."""
    found = [run.result[part] for run in runs if run.result.get(part)]
    return {n: over_seeds([one[n] for one in found]) for n in found[0]} if found else None


def standard_error(runs: list[ComparedRun]) -> float:
    """Of NDCG@10, full ranking, over users: what other users would have changed."""
    gains = np.mean([per_user(values("ndcg@10", run.ranks), run.users) for run in runs], axis=0)
    return round(float(gains.std(ddof=1) / np.sqrt(len(gains))), DIGITS) if len(gains) > 1 else 0.0


def upload(run: ComparedRun) -> float:
    """Bytes that a client uploads in the whole run, averaged over the clients that train.

    How many train is the larger of test users and largest cohort: exact for leave-one-out, and
    never above the truth, so that the upload is never understated.
    """
    lines = RunFolder(run.folder).read_metrics()
    clients = max(len(np.unique(run.users)), *(line["clients"] for line in lines), 1)
    return float(sum(line["bytes_up"] * line["clients"] for line in lines) / clients)


def costs(runs: list[ComparedRun]) -> dict[str, Any]:
    """Means over seeds, but the largest resident set of all."""
    lines = [RunFolder(run.folder).read_metrics() for run in runs]
    results = [run.result for run in runs]

    def mean(samples: Sequence[float]) -> float:
        return round(float(np.mean(samples)), 3)

    return {
        "rounds": results[0]["rounds"],
        "best_rounds": [result["best_round"] for result in results],
        "bytes_up_per_client_round": mean([r["bytes_up_per_client_round"] for r in results]),
        "bytes_up_per_client": mean([upload(run) for run in runs]),
        "cpu_seconds_per_round": mean([result["cpu_seconds_per_round"] for result in results]),
        "cpu_seconds": mean([sum(line["cpu_seconds"] for line in own) for own in lines]),
        "seconds": mean([result["seconds"]["total"] for result in results]),
        "peak_rss_bytes": max(result["peak_rss_bytes"] for result in results),
    }


def row(runs: list[ComparedRun], experiments: Path, overrides: tuple[str, ...]) -> dict[str, Any]:
    """One configuration, over its seeds.

    Args:
        runs: runs that differ in their seed alone.
        experiments: the folder of the experiment files.
        overrides: what the runs were given besides their file.

    Raises:
        InputError: no file regenerates them.
    """
    runs = sorted(runs, key=lambda run: run.seed)
    first = runs[0]
    experiment = Run(first.folder).experiment
    config = configuration(experiment)
    path = regenerated_by(experiment, experiments, overrides)
    facts = [json.loads(RunFolder(run.folder).environment.read_text()) for run in runs]
    result = first.result
    return {
        "schema": SCHEMA,
        "experiment": path.relative_to(experiments.parent).as_posix(),
        "overrides": list(overrides),
        "algorithm": result["algorithm"],
        "federated": bool(result["rounds"]),
        "data": {**result["data"], "sequential": result["sequential"]},
        "protocol": config["protocol"],
        "privacy": result["privacy"],
        "guarantee": result["guarantee"],
        "seeds": [run.seed for run in runs],
        "test_users": len(first.users),
        "test": metrics(runs, "test"),
        "standard_error": standard_error(runs),
        "validation": metrics(runs, "validation"),
        "cold": kept_out(runs, "cold"),
        "cold_all": kept_out(runs, "cold_all"),
        "new_items": kept_out(runs, "new_items"),
        "costs": costs(runs),
        "date": max(fact["started"] for fact in facts)[:10],
        "commits": sorted({str(fact["commit"]) for fact in facts}),
        "environment": {k: v for k, v in facts[0].items() if k not in NOT_OF_THE_ENVIRONMENT},
        "config_digest": experiment.group,
        "config": config,
    }


def file_name(found: dict[str, Any]) -> str:
    """Of the experiment file and the overrides, e.g. ``ml100k-ease-split-global-time.json``."""
    words = list(Path(found["experiment"]).with_suffix("").parts[1:])
    for override in found["overrides"]:
        key, _, value = override.partition("=")
        words += [key.rpartition(".")[2], value]
    return re.sub(r"[^a-z0-9_]+", "-", "-".join(words).lower()).strip("-") + ".json"


def record(
    folders: Sequence[Path],
    overrides: tuple[str, ...] = (),
    experiments: Path = ROOT / "experiments",
    results: Path = RESULTS,
) -> list[Path]:
    """Write one JSON for each configuration among the run folders.

    Raises:
        InputError: a folder without a finished run, the same seed twice, runs that are not
            comparable, or a configuration that no experiment file gives.
    """
    groups = grouped(read_run(folder) for folder in folders)
    rows = [row(runs, experiments, overrides) for runs in groups]
    results.mkdir(parents=True, exist_ok=True)
    written = []
    for found in rows:
        path = results / file_name(found)
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        written.append(path)
    return written


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", nargs="+", type=Path, help="finished run folders")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="as given to the runs"
    )
    arguments = parser.parse_args()
    try:
        for path in record(arguments.run, tuple(arguments.set)):
            print(path)
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
