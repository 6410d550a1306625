"""A baseline on the data of an experiment: fitted, fused where it is a fusion, and validated.

A fusion's coefficients are fitted and chosen as those of a model that trains are, see
`evaluation.fusion`, so its validation is of either half of the users with the other half's.
"""

from functools import partial

import torch

from ufgraphfr.baselines.base import Baseline, Fused
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State
from ufgraphfr.evaluation.fusion import choose_blend
from ufgraphfr.evaluation.metric_sums import Model, evaluate, evaluate_blends
from ufgraphfr.evaluation.metrics.base import Metric
from ufgraphfr.evaluation.results import RankingResult
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.ops.bends import sets_of, unbent

_HALVES = "blend.halves"
"""Beside ``blend``, what either half of the users is validated with, float ``[2, parts]``."""


def check_memory(baseline: Baseline, prepared: PreparedExperiment) -> None:
    """A baseline's memory on these data is affordable.

    Raises:
        InputError: it is not.
    """
    batch = prepared.batch
    baseline.check_memory(len(batch), batch.n_items, len(batch.items))


def fit_baseline(baseline: Baseline, prepared: PreparedExperiment, chunk: int) -> State:
    """What a baseline knows of everybody's training rows.

    Raises:
        InputError: it does not fit the memory.
    """
    check_memory(baseline, prepared)
    fitted = _seeded(baseline, prepared.setting.seed).fit(prepared.batch)
    if not isinstance(baseline, Fused):
        return fitted
    model, key = Model(partial(baseline.parts, fitted)), Key(prepared.setting.seed)
    dated = prepared.validation.clients.away is not None and getattr(baseline, "absence", False)
    sets = sets_of(getattr(baseline, "history_length", False), dated)
    equal, no_priors = unbent(fitted["blend"][None], sets), torch.zeros(1, 0)
    chosen = choose_blend(model, prepared.validation, equal, no_priors, key, chunk)
    return fitted | chosen.kept | {_HALVES: chosen.halves}


def _seeded(baseline: Baseline, seed: int) -> Baseline:
    """The baseline of a run of another seed, if it draws anything."""
    own = getattr(baseline, "seed", None)
    return baseline if own is None else baseline.model_copy(update={"seed": own + seed})


def validate_baseline(
    baseline: Baseline,
    fitted: State,
    prepared: PreparedExperiment,
    chunk: int,
    metrics: tuple[Metric, ...] | None = None,
) -> RankingResult:
    """Its validation, by ``metrics``, see `metric_sums.evaluate`."""
    if isinstance(baseline, Fused):
        model, halves = Model(partial(baseline.parts, fitted)), fitted[_HALVES][:, None]
        return evaluate_blends(model, halves, prepared.validation, chunk, metrics).of(0)
    return evaluate(partial(baseline.score, fitted), prepared.validation, chunk, metrics)
