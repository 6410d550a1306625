"""The federation of an experiment: simulated clients, some malicious if asked, and the border."""

import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.federation.adversaries.base import Aim
from ufgraphfr.federation.defences import DEFENCES
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.transport import Simulation
from ufgraphfr.federation.validation.expected import Border
from ufgraphfr.privacy.base import Mechanism


def honest(
    experiment: Experiment,
    algorithm: Algorithm,
    mechanism: Mechanism,
    prepared: PreparedExperiment,
    store: PrivateState,
    device: torch.device,
) -> Simulation:
    """The clients of an experiment, in this process, none of them malicious."""
    upload = experiment.federation.upload
    return Simulation(
        algorithm if upload is None else algorithm.apart(),
        mechanism,
        prepared.batch.to(device),
        store,
        experiment.federation.chunk,
        upload,
    )


def aimed(experiment: Experiment, algorithm: Algorithm, prepared: PreparedExperiment) -> Aim | None:
    """Who is malicious, and what for; None if nobody is."""
    adversary = experiment.federation.adversary
    if adversary is None:
        return None
    trained = torch.from_numpy(prepared.split.warm)
    return adversary.aim(algorithm, prepared.setting, prepared.batch, trained)


def border(
    experiment: Experiment, algorithm: Algorithm, mechanism: Mechanism, prepared: PreparedExperiment
) -> Border:
    """What the server lets in.

    Honest simulated clients are summed before the server looks, as with secure sums; malicious
    ones meet a defence, the row cap unless another is named.
    """
    spec, defence = experiment.federation, None
    if spec.adversary is not None:
        # under a guarantee every client is clipped, and the sum has no room for another rule
        kind = "none" if mechanism.is_private else "row-cap"
        defence = spec.defence or DEFENCES.build(kind, {}, "[federation.defence]")
    return Border(algorithm, mechanism, prepared.setting, defence, spec.upload)
