"""What is tested beside a model: kept-out users and items, baselines, an attack's success."""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.evaluation.exposure import exposure
from ufgraphfr.evaluation.kept_out import evaluate_cold, evaluate_cold_all, evaluate_new_items
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.metrics import summary
from ufgraphfr.evaluation.metrics.base import Metric
from ufgraphfr.evaluation.protocol import Score
from ufgraphfr.evaluation.results import RankingResult
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.federation import aimed
from ufgraphfr.experiment.fitted import fit_baseline, validate_baseline
from ufgraphfr.experiment.prepare import PreparedExperiment

logger = logging.getLogger(__name__)

Metrics = dict[str, dict[str, float]]


def assess_kept_out(
    score: Score, prepared: PreparedExperiment, chunk: int
) -> dict[str, dict[str, float] | None]:
    """NDCG@10 of ``cold`` users, ``cold_all``, ``new_items``; None where none are kept out."""
    split, asked = prepared.split, (score, prepared.batch, prepared.split, chunk)
    return {
        "cold": evaluate_cold(*asked).metrics if len(split.cold_users) else None,
        "cold_all": evaluate_cold_all(*asked).metrics if len(split.cold_users) else None,
        "new_items": evaluate_new_items(*asked).metrics if len(split.cold_items) else None,
    }


def assess_baselines(
    baselines: Iterable[Baseline],
    prepared: PreparedExperiment,
    chunk: int,
    asked: tuple[Metric, ...] | None = None,
) -> tuple[dict[str, dict[str, Any]], dict[str, RankingResult]]:
    """Every baseline through the protocol; one that fails costs its own row, and is told.

    Returns:
        ``validation``, ``test`` and, where some are kept out, ``cold``, ``cold_all``, ``new_items``
        metrics by kind, or ``not_computed``, why not; and the test outcomes.
    """
    metrics: dict[str, dict[str, Any]] = {}
    outcomes: dict[str, RankingResult] = {}
    for baseline in baselines:
        try:
            metrics[baseline.kind], outcomes[baseline.kind] = _assessed(
                baseline, prepared, chunk, asked
            )
        # whatever it is, hours of training are not to be lost for a point of comparison
        except Exception as error:
            # torch tells in many lines what it could not allocate
            why = str(error).partition("\n")[0] or type(error).__name__
            logger.warning("baseline %s is not computed: %s", baseline.kind, why)
            metrics[baseline.kind] = {"not_computed": why}
    return metrics, outcomes


def _assessed(
    baseline: Baseline, prepared: PreparedExperiment, chunk: int, asked: tuple[Metric, ...] | None
) -> tuple[dict[str, Any], RankingResult]:
    fitted = fit_baseline(baseline, prepared, chunk)
    score = partial(baseline.score, fitted)
    test = evaluate(score, prepared.test, chunk, asked)
    metrics = {
        "validation": validate_baseline(baseline, fitted, prepared, chunk, asked).metrics,
        "test": test.metrics,
        **assess_kept_out(score, prepared, chunk),
    }
    return metrics, test


def assess_attack(
    experiment: Experiment, prepared: PreparedExperiment, score: Score, test: RankingResult
) -> dict[str, Any] | None:
    """ER@10 of malicious clients' target among honest users, and the test metrics of these.

    None where nobody is malicious; ``test`` is the outcome of all users.
    """
    model, adversary = experiment.model, experiment.federation.adversary
    aim = aimed(experiment, model, prepared) if isinstance(model, Algorithm) else None
    if adversary is None or aim is None:
        return None
    honest = ~np.isin(test.users, aim.clients.numpy())
    clients = prepared.test.clients
    places = (~torch.isin(clients.clients, aim.clients)).nonzero()[:, 0]
    users = test.users[honest]
    return {
        "kind": adversary.kind,
        "clients": len(aim.clients),
        "target": prepared.dataset.catalogue.items[aim.target],
        "er@10": exposure(score, clients.select(places), aim.target),
        "honest": {
            "full": summary(test.full[honest], users),
            "sampled99": summary(test.sampled[honest], users),
        },
    }
