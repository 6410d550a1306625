"""The result of a run: test metrics, costs and per-user ranks, read once at the best round."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.folders import write_atomically
from ufgraphfr.data.columns import write_parquet
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.evaluation.protocol import Outcome, Score
from ufgraphfr.experiment.artifacts import Checkpoint, RunFolder
from ufgraphfr.experiment.assess import Metrics, assess, assess_kept_out, assess_yardsticks
from ufgraphfr.experiment.attack import assess_attack
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.environment import peak_rss_bytes
from ufgraphfr.experiment.prepare import Prepared
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.statement import guarantee, in_words, statement

SCHEMA = "ufgraphfr-result-1"


def write_result(
    experiment: Experiment,
    prepared: Prepared,
    folder: RunFolder,
    best: Checkpoint,
    score: Score,
) -> None:
    """Evaluate the best round on test, and write the result last of all.

    Args:
        experiment: what was run.
        prepared: data and split.
        folder: where the best checkpoint lies and becomes the model.
        best: the checkpoint that validation picked.
        score: its scores.
    """
    started = time.perf_counter()
    chunk = experiment.evaluation.chunk
    lines = folder.read_metrics()
    test = assess(score, prepared, "test", chunk)
    validation = _validation(lines, best, score, prepared, chunk)
    kept_out = assess_kept_out(score, prepared, chunk)
    yardsticks, outcomes = assess_yardsticks(experiment.yardsticks, prepared, chunk)
    ledger = Ledger(folder.ledger)
    if ledger.claim is not None:
        write_atomically(folder.statement, statement(ledger).encode())
    write_parquet(folder.ranks, _ranks(prepared.dataset, test, outcomes))
    folder.promote_best()
    result = {
        **_setting(experiment, prepared.dataset),
        "rounds": len(lines),
        "best_round": best.best_round,
        "validation": validation,
        "test": test.metrics,
        **kept_out,
        "yardsticks": yardsticks,
        "seconds": _seconds(lines, time.perf_counter() - started),
        **_costs(lines),
        "peak_rss_bytes": peak_rss_bytes(),
        "privacy": guarantee(ledger.claim),
        "guarantee": in_words(ledger.claim) or experiment.mechanism.guarantee,
        "config_digest": experiment.digest,
    }
    attack = assess_attack(experiment, prepared, score, test, lines)
    folder.write_json(folder.result, result | ({"attack": attack} if attack else {}))


def _validation(
    lines: list[dict[str, Any]], best: Checkpoint, score: Score, prepared: Prepared, chunk: int
) -> Metrics:
    """The metrics that picked the round; a model without rounds is validated here."""
    for line in lines:
        if line["round"] == best.best_round:
            metrics: Metrics = line["validation"]
            return metrics
    return assess(score, prepared, "validation", chunk).metrics


def _setting(experiment: Experiment, dataset: Dataset) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "name": experiment.name,
        "algorithm": experiment.model.kind,
        "data": _data(dataset),
        "protocol": experiment.protocol.negatives,
        "split": experiment.protocol.split,
        "sequential": dataset.card.sequential,
        "seed": experiment.seed,
    }


def _data(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.card.name,
        "users": len(dataset.users),
        "items": len(dataset.items),
        "interactions": len(dataset.user),
        "sha256": dataset.sha256,
    }


def _seconds(lines: list[dict[str, Any]], test_seconds: float) -> dict[str, float]:
    """Wall seconds by kind of work, resumed parts included."""
    parts = {
        name: sum(line[f"{name}_seconds"] for line in lines)
        for name in ("train", "aggregate", "evaluate")
    }
    parts["evaluate"] += test_seconds
    return parts | {"total": sum(parts.values())}


def _costs(lines: list[dict[str, Any]]) -> dict[str, float]:
    """CPU seconds, a mean over rounds; encoded bytes, a mean over clients and rounds."""
    taking_part = sum(line["clients"] for line in lines)
    cpu = sum(line["cpu_seconds"] for line in lines)
    return {"cpu_seconds_per_round": cpu / max(1, len(lines))} | {
        f"{name}_per_client_round": sum(line[name] * line["clients"] for line in lines)
        / max(1, taking_part)
        for name in ("bytes_up", "bytes_down")
    }


def _ranks(
    dataset: Dataset, test: Outcome, yardsticks: dict[str, Outcome]
) -> dict[str, NDArray[Any]]:
    """Each user's test ranks, of the model and of the yardsticks beside it."""
    columns: dict[str, NDArray[Any]] = {
        "user": np.array([dataset.users[user] for user in test.users]),
        "full": test.full,
        "sampled99": test.sampled,
    }
    for kind, outcome in yardsticks.items():
        columns |= {f"{kind}.full": outcome.full, f"{kind}.sampled99": outcome.sampled}
    return columns
