"""What the benchmarks share: one thread, and MovieLens-100K as the main job trains on it."""

from collections.abc import Callable, Iterator

import pytest
import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.keys import Key
from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.prepare import PreparedExperiment, prepare
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.loop import Round, rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.privacy.none import NoMechanism


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def main_job() -> Experiment:
    """UFGraphFR with its defaults on MovieLens-100K, texts embedded by the default encoder."""
    return build({"data": {"kind": "ml-100k"}, "text": {"kind": "use"}})


@pytest.fixture(scope="session")
def prepared(main_job: Experiment) -> PreparedExperiment:
    """Its data; fetched and encoded once, then from the cache."""
    return prepare(main_job)


Going = Callable[[int], tuple[PrivateState, Iterator[Round]]]


@pytest.fixture
def going(main_job: Experiment, prepared: PreparedExperiment) -> Going:
    """Starts the main job: the clients' weights, and so many rounds as they are asked for."""

    def started(count: int) -> tuple[PrivateState, Iterator[Round]]:
        algorithm, mechanism = main_job.model, NoMechanism()
        assert isinstance(algorithm, Algorithm)
        store = PrivateState(algorithm.init_private(prepared.setting, prepared.batch))
        chunk = main_job.federation.chunk
        client = Client(algorithm, mechanism)
        transport = Local().to(Simulation(client, prepared.batch, store, chunk))
        aggregator = Aggregator(algorithm, prepared.setting)
        warm = torch.from_numpy(prepared.split.warm)
        state, spec = algorithm.init_server(prepared.setting), FederationSpec(rounds=count)
        return store, rounds(aggregator, mechanism, transport, spec, warm, state, Key(0))

    return started
