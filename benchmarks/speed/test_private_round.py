"""One round of `fedmf` on MovieLens-100K, without and with a guarantee: clipping and noise."""

import time
from typing import Any

import pytest
import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.keys import Key
from ufgraphfr.experiment.config import build
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.privacy_plan import calibrate
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.privacy.accounted.ledger import Ledger

ROUNDS = 10
MECHANISMS: dict[str, dict[str, Any]] = {
    "none": {"kind": "none"},
    "central-jdp": {"kind": "central-jdp", "epsilon": 8, "clip": 30.0},
}


@pytest.mark.parametrize("kind", MECHANISMS)
@pytest.mark.benchmark(group="one round of fedmf on MovieLens-100K", timer=time.process_time)
def test_private_round(benchmark: Any, prepared: PreparedExperiment, kind: str) -> None:
    experiment = build(
        {
            "data": {"kind": "ml-100k"},
            "algorithm": {"kind": "fedmf"},
            "federation": {"rounds": ROUNDS},
            "privacy": MECHANISMS[kind],
        }
    )
    model = experiment.model
    assert isinstance(model, Algorithm)
    clients = torch.from_numpy(prepared.split.warm)
    mechanism = calibrate(experiment, model, len(clients), Ledger(None))
    store = PrivateState(model.init_private(prepared.setting, prepared.batch))
    client = Client(model, mechanism)
    simulation = Simulation(client, prepared.batch, store, experiment.federation.chunk)
    aggregator = Aggregator(model, prepared.setting)
    state, spec = model.init_server(prepared.setting), experiment.federation
    going = rounds(aggregator, mechanism, Local().to(simulation), spec, clients, state, Key(0))
    next(going)
    benchmark.pedantic(next, args=(going,), rounds=ROUNDS - 1)
