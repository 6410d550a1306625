"""The result of a run: test metrics, costs and each user's ranks, read once at the best round."""

import time
from dataclasses import asdict
from typing import Any

import numpy as np

from ufgraphfr.core.folders import write_atomically
from ufgraphfr.data.columns import write_parquet
from ufgraphfr.experiment.blend import blend_of
from ufgraphfr.experiment.checkpoint import Checkpoint
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.environment import peak_rss_bytes
from ufgraphfr.experiment.population import Population, TestResult
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.experiment.schemas import RANKS
from ufgraphfr.experiment.soundness import rejected, unsound
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.statement import in_words, proven, statement


def write_result(
    experiment: Experiment, population: Population, folder: RunFolder, best: Checkpoint
) -> None:
    """Test the checkpoint that validation picked, make it the model, and write the result last."""
    started = time.perf_counter()
    lines = folder.read_metrics()
    tested = population.test(best)
    ledger = Ledger(folder.ledger)
    if ledger.guarantee is not None:
        write_atomically(folder.statement, statement(ledger).encode())
    if tested.ranks:
        schema = np.full(len(tested.ranks["user"]), RANKS.version, np.int8)
        write_parquet(folder.ranks, {"schema": schema, **tested.ranks})
    folder.promote_best()
    result = {
        "name": experiment.name,
        "algorithm": experiment.model.kind,
        "data": population.data,
        "protocol": experiment.protocol.negatives,
        "split": experiment.protocol.split,
        "sequential": population.sequential,
        "seed": experiment.seed,
        "metrics": experiment.evaluation.metrics,
        "rounds": len(lines),
        "best_round": best.best_round,
        **_metrics(tested, lines, best.best_round),
        "blend": blend_of(experiment, population, best.server),
        "seconds": _seconds(lines, time.perf_counter() - started),
        **_costs(lines),
        "unsound": unsound(lines, ledger.guarantee is not None),
        "peak_rss_bytes": peak_rss_bytes(),
        "privacy": proven(ledger.guarantee),
        "guarantee": in_words(ledger.guarantee) or experiment.mechanism.guarantee,
        "ledger": ledger.head if ledger.entries else None,
        **_settings(experiment),
    }
    if tested.attack is not None:
        result["attack"] = tested.attack | {"rejected": rejected(lines)}
    folder.write_result(result)


def _settings(experiment: Experiment) -> dict[str, Any]:
    """Which settings were derived from the data, and by which digest to know all of them."""
    derived = [asdict(each) for each in experiment.derived]
    return {"derived": derived, "config_digest": experiment.digest}


def _metrics(tested: TestResult, lines: list[dict[str, Any]], best_round: int) -> dict[str, Any]:
    return {
        # those that picked the round
        "validation": tested.validation
        or next(line["validation"] for line in lines if line["round"] == best_round),
        "test": tested.test,
        "standard_errors": tested.standard_errors,
        **{"cold": None, "cold_all": None, "new_items": None, **tested.kept_out},
        "baselines": tested.baselines,
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
    """CPU seconds, a mean over rounds; encoded bytes, a mean over clients and rounds or once."""
    replies = max(1, sum(line["clients"] for line in lines))
    up, down = (
        sum(line[name] * line["clients"] for line in lines) / replies
        for name in ("bytes_up", "bytes_down")
    )
    return {
        "cpu_seconds_per_round": sum(line["cpu_seconds"] for line in lines) / max(1, len(lines)),
        "bytes_down_once_per_client": max((line["bytes_once"] for line in lines), default=0.0),
        "bytes_up_per_client_round": up,
        "bytes_down_per_client_round": down,
    }


def about_baselines(result: dict[str, Any]) -> list[str]:
    """Sentences on what the baselines of a result have seen, and on those without figures."""
    baselines = result["baselines"] or {}
    own = {kind: each["fitted_to"] for kind, each in baselines.items() if "fitted_to" in each}
    none = {k: each["not_computed"] for k, each in baselines.items() if "not_computed" in each}
    said = [f"{kind} is fitted to {rows}" for kind, rows in own.items()]
    if baselines.keys() - own.keys():
        said.append("baselines are centralised: they see everybody's training rows")
    return said + [f"{kind} is not computed: {why}" for kind, why in none.items()]
