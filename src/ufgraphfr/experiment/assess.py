"""Validation, test, new users, new items and yardsticks of one model, all through one protocol."""

from collections.abc import Iterable
from typing import Any

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.data.split import HeldOut
from ufgraphfr.evaluation.cold import evaluate_cold
from ufgraphfr.evaluation.new_items import evaluate_new_items
from ufgraphfr.evaluation.protocol import RankingResult, Score, evaluate, inputs, scored
from ufgraphfr.experiment.prepare import PreparedExperiment

Metrics = dict[str, dict[str, float]]


def assess(score: Score, prepared: PreparedExperiment, part: HeldOut, chunk: int) -> RankingResult:
    """Rank the held-out item of every user that is asked.

    Args:
        score: the model.
        prepared: data and split.
        part: ``validation`` or ``test``.
        chunk: clients at a time.
    """
    clients = inputs(prepared.batch, prepared.split, part)
    return evaluate(scored(score, clients, chunk), prepared.split, part)


def assess_kept_out(
    score: Score, prepared: PreparedExperiment, chunk: int
) -> dict[str, dict[str, float] | None]:
    """NDCG@10 of ``cold`` users and of ``new_items``; None where nobody or nothing is kept out."""
    split, asked = prepared.split, (score, prepared.batch, prepared.split, chunk)
    return {
        "cold": evaluate_cold(*asked).metrics if len(split.cold_users) else None,
        "new_items": evaluate_new_items(*asked).metrics if len(split.cold_items) else None,
    }


def fitted_score(reference: Baseline, prepared: PreparedExperiment) -> Score:
    """A reference, fitted to everybody's training rows."""
    fitted = reference.fit(prepared.batch)
    return lambda clients: reference.score(fitted, clients)


def assess_yardsticks(
    references: Iterable[Baseline], prepared: PreparedExperiment, chunk: int
) -> tuple[dict[str, dict[str, Any]], dict[str, RankingResult]]:
    """Every reference through the protocol.

    Returns:
        ``validation``, ``test`` and, where some are kept out, ``cold`` and ``new_items`` metrics
        by kind; and the test outcomes.
    """
    metrics: dict[str, dict[str, Any]] = {}
    outcomes: dict[str, RankingResult] = {}
    for reference in references:
        score = fitted_score(reference, prepared)
        outcomes[reference.kind] = assess(score, prepared, "test", chunk)
        metrics[reference.kind] = {
            "validation": assess(score, prepared, "validation", chunk).metrics,
            "test": outcomes[reference.kind].metrics,
            **assess_kept_out(score, prepared, chunk),
        }
    return metrics, outcomes
