"""Evaluation of all users of MovieLens-100K after a round: full ranking and 99 sampled items."""

import time
from collections.abc import Callable

import pytest

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.federation.scoring import device_score


@pytest.mark.benchmark(group="evaluation on MovieLens-100K", timer=time.process_time)
def test_evaluate(
    benchmark, main_job: Experiment, prepared: PreparedExperiment, going: Callable
) -> None:
    assert isinstance(main_job.model, Algorithm)
    store, rounds = going(1)
    done = next(rounds)
    score = device_score(main_job.model, done.state, store, done.number)
    chunk = main_job.evaluation.chunk
    outcome = benchmark.pedantic(evaluate, args=(score, prepared.validation, chunk), rounds=3)
    assert len(outcome.full) == len(prepared.split.warm)
