"""What malicious clients achieved: exposure of their target, and accuracy for honest users."""

from typing import Any

import numpy as np
import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.evaluation.exposure import exposure
from ufgraphfr.evaluation.metric_sums import RankingResult
from ufgraphfr.evaluation.metrics import summary
from ufgraphfr.evaluation.protocol import Score
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.federation import aimed
from ufgraphfr.experiment.prepare import PreparedExperiment


def assess_attack(
    experiment: Experiment,
    prepared: PreparedExperiment,
    score: Score,
    test: RankingResult,
) -> dict[str, Any] | None:
    """ER@10 of the target among honest users, and their test metrics.

    Args:
        experiment: with an adversary.
        prepared: data and split.
        score: the model at the evaluated round.
        test: its test outcome, of all users.
    """
    model, adversary = experiment.model, experiment.federation.adversary
    if adversary is None or not isinstance(model, Algorithm):
        return None
    aim = aimed(experiment, model, prepared)
    assert aim is not None
    honest = ~np.isin(test.users, aim.clients.numpy())
    places = torch.from_numpy(honest.nonzero()[0])
    return {
        "kind": adversary.kind,
        "clients": len(aim.clients),
        "target": prepared.dataset.catalogue.items[aim.target],
        "er@10": exposure(score, prepared.test.clients.select(places), aim.target),
        "honest": {
            "full": summary(test.full[honest]),
            "sampled99": summary(test.sampled[honest]),
        },
    }
