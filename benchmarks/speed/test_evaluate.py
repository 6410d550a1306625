"""Evaluation of all users of MovieLens-100K after a round: full ranking and 99 sampled items."""

import time

import pytest
import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.keys import Key
from ufgraphfr.experiment.assess import assess
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.prepare import Prepared
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.scoring import device_score
from ufgraphfr.federation.store import MemoryStore
from ufgraphfr.federation.transport import Local, Simulation


@pytest.mark.benchmark(group="evaluation on MovieLens-100K", timer=time.process_time)
def test_evaluate(benchmark, main_job: Experiment, prepared: Prepared) -> None:
    algorithm = main_job.model
    assert isinstance(algorithm, Algorithm)
    store = MemoryStore(algorithm.init_private(prepared.setting, prepared.shard))
    simulation = Simulation(
        algorithm, main_job.mechanism, prepared.shard, store, main_job.federation.chunk
    )
    done = next(
        rounds(
            algorithm,
            main_job.mechanism,
            Local(simulation),
            FederationSpec(rounds=1),
            torch.from_numpy(prepared.split.warm),
            algorithm.init_server(prepared.setting),
            Key(0),
        )
    )
    score = device_score(algorithm, done.state, store, done.number)
    chunk = main_job.evaluation.chunk
    outcome = benchmark.pedantic(assess, args=(score, prepared, "validation", chunk), rounds=3)
    assert len(outcome.full) == len(prepared.split.warm)
