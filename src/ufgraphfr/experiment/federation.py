"""The federation of an experiment: simulated clients, some malicious if asked, and their server."""

import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.federation.adversarial import AdversarialSimulation
from ufgraphfr.federation.adversaries.base import Aim
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.defences import DEFENCES
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Clients, Simulation
from ufgraphfr.federation.validation.expected import Validation
from ufgraphfr.privacy.base import Mechanism


def simulated(
    experiment: Experiment,
    algorithm: Algorithm,
    mechanism: Mechanism,
    prepared: PreparedExperiment,
    store: PrivateState,
    device: torch.device,
) -> Clients:
    """The clients of an experiment, in this process."""
    simulation = honest(experiment, algorithm, mechanism, prepared, store, device)
    adversary, aim = experiment.federation.adversary, aimed(experiment, algorithm, prepared)
    if adversary is None or aim is None:
        return simulation
    return AdversarialSimulation(simulation, adversary, aim)


def honest(
    experiment: Experiment,
    algorithm: Algorithm,
    mechanism: Mechanism,
    prepared: PreparedExperiment,
    store: PrivateState,
    device: torch.device,
) -> Simulation:
    """The same clients, none of them malicious."""
    client = Client(algorithm, mechanism, experiment.federation.upload)
    return Simulation(client, prepared.batch.to(device), store, experiment.federation.chunk)


def aimed(experiment: Experiment, algorithm: Algorithm, prepared: PreparedExperiment) -> Aim | None:
    """Who is malicious, and what for; None if nobody is."""
    adversary = experiment.federation.adversary
    if adversary is None:
        return None
    trained = torch.from_numpy(prepared.split.warm)
    return adversary.aim(algorithm, prepared.setting, prepared.batch, trained)


def aggregator(
    experiment: Experiment, algorithm: Algorithm, mechanism: Mechanism, prepared: PreparedExperiment
) -> Aggregator:
    """How replies become one.

    Honest simulated clients are summed before the server looks, as with secure sums, unless a
    codec compresses each one's update; malicious ones meet a defence, the row cap unless another
    is named.
    """
    spec = experiment.federation
    if spec.adversary is None:
        return Aggregator(algorithm, prepared.setting, per_client=spec.upload is not None)
    # under a guarantee every client is clipped, and the sum has no room for another rule
    kind = "none" if mechanism.is_private else "row-cap"
    defence = spec.defence or DEFENCES.build(kind, {}, "[federation.defence]")
    return Aggregator(algorithm, prepared.setting, per_client=True, defence=defence)


def validation(
    experiment: Experiment, algorithm: Algorithm, mechanism: Mechanism, prepared: PreparedExperiment
) -> Validation:
    """What the server expects of replies."""
    client = Client(algorithm, mechanism, experiment.federation.upload)
    return Validation(client, prepared.setting)
