"""Validation, test, new users, new items and yardsticks of one model, all through one protocol."""

from collections.abc import Iterable
from typing import Any

from ufgraphfr.data.split import Part
from ufgraphfr.evaluation.cold import evaluate_cold
from ufgraphfr.evaluation.new_items import evaluate_new_items
from ufgraphfr.evaluation.protocol import Outcome, Score, evaluate, inputs, scored
from ufgraphfr.experiment.prepare import Prepared
from ufgraphfr.references.base import Reference

Metrics = dict[str, dict[str, float]]


def assess(score: Score, prepared: Prepared, part: Part, chunk: int) -> Outcome:
    """Rank the held-out item of every user that is asked.

    Args:
        score: the model.
        prepared: data and split.
        part: ``validation`` or ``test``.
        chunk: clients at a time.
    """
    clients = inputs(prepared.shard, prepared.split, part)
    return evaluate(scored(score, clients, chunk), prepared.split, part)


def assess_cold(score: Score, prepared: Prepared, chunk: int) -> dict[str, float] | None:
    """NDCG@10 of cold users by known items, or None if nobody is kept out of training."""
    if len(prepared.split.cold) == 0:
        return None
    return evaluate_cold(score, prepared.shard, prepared.split, chunk).metrics


def assess_new_items(score: Score, prepared: Prepared, chunk: int) -> dict[str, float] | None:
    """NDCG@10 of new items, and that of chance, or None if no item is kept out of training."""
    if len(prepared.split.new) == 0:
        return None
    return evaluate_new_items(score, prepared.shard, prepared.split, chunk).metrics


def fitted_score(reference: Reference, prepared: Prepared) -> Score:
    """A reference, fitted to everybody's training rows."""
    fitted = reference.fit(prepared.shard)
    return lambda clients: reference.score(fitted, clients)


def assess_yardsticks(
    references: Iterable[Reference], prepared: Prepared, chunk: int
) -> tuple[dict[str, dict[str, Any]], dict[str, Outcome]]:
    """Every reference through the protocol.

    Returns:
        ``validation``, ``test`` and, where some are kept out, ``cold`` and ``new_items`` metrics
        by kind; and the test outcomes.
    """
    metrics: dict[str, dict[str, Any]] = {}
    outcomes: dict[str, Outcome] = {}
    for reference in references:
        score = fitted_score(reference, prepared)
        outcomes[reference.kind] = assess(score, prepared, "test", chunk)
        metrics[reference.kind] = {
            "validation": assess(score, prepared, "validation", chunk).metrics,
            "test": outcomes[reference.kind].metrics,
            "cold": assess_cold(score, prepared, chunk),
            "new_items": assess_new_items(score, prepared, chunk),
        }
    return metrics, outcomes
