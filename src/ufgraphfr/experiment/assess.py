"""The test of users and items that are kept out, and of baselines beside a model."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.evaluation.cold import evaluate_cold
from ufgraphfr.evaluation.metric_sums import RankingResult, evaluate
from ufgraphfr.evaluation.new_items import evaluate_new_items
from ufgraphfr.evaluation.protocol import Score
from ufgraphfr.experiment.prepare import PreparedExperiment

Metrics = dict[str, dict[str, float]]


def assess_kept_out(
    score: Score, prepared: PreparedExperiment, chunk: int
) -> dict[str, dict[str, float] | None]:
    """NDCG@10 of ``cold`` users and of ``new_items``; None where nobody or nothing is kept out."""
    split, asked = prepared.split, (score, prepared.batch, prepared.split, chunk)
    return {
        "cold": evaluate_cold(*asked).metrics if len(split.cold_users) else None,
        "new_items": evaluate_new_items(*asked).metrics if len(split.cold_items) else None,
    }


def assess_baselines(
    baselines: Iterable[Baseline], prepared: PreparedExperiment, chunk: int
) -> tuple[dict[str, dict[str, Any]], dict[str, RankingResult]]:
    """Every baseline through the protocol.

    Returns:
        ``validation``, ``test`` and, where some are kept out, ``cold`` and ``new_items`` metrics
        by kind; and the test outcomes.
    """
    metrics: dict[str, dict[str, Any]] = {}
    outcomes: dict[str, RankingResult] = {}
    for baseline in baselines:
        score = partial(baseline.score, baseline.fit(prepared.batch))
        outcomes[baseline.kind] = evaluate(score, prepared.test, chunk)
        metrics[baseline.kind] = {
            "validation": evaluate(score, prepared.validation, chunk).metrics,
            "test": outcomes[baseline.kind].metrics,
            **assess_kept_out(score, prepared, chunk),
        }
    return metrics, outcomes
