"""One round of UFGraphFR on MovieLens-100K: all 943 clients train, the server makes the graph."""

import time

import pytest
import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.keys import Key
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.prepare import Prepared
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.loop import Round, rounds
from ufgraphfr.federation.store import MemoryStore
from ufgraphfr.federation.transport import Local, Simulation


@pytest.mark.benchmark(group="one round on MovieLens-100K", timer=time.process_time)
def test_round(benchmark, main_job: Experiment, prepared: Prepared) -> None:
    algorithm = main_job.model
    assert isinstance(algorithm, Algorithm)
    store = MemoryStore(algorithm.init_private(prepared.setting, prepared.shard))
    simulation = Simulation(
        algorithm, main_job.mechanism, prepared.shard, store, main_job.federation.chunk
    )
    # the second round is the first with neighbors
    going = rounds(
        algorithm,
        main_job.mechanism,
        Local(simulation),
        FederationSpec(rounds=5),
        torch.from_numpy(prepared.split.warm),
        algorithm.init_server(prepared.setting),
        Key(0),
    )
    next(going)
    last: Round = benchmark.pedantic(next, args=(going,), rounds=4)
    benchmark.extra_info["train_seconds"] = last.train_seconds
    benchmark.extra_info["aggregate_seconds"] = last.aggregate_seconds
