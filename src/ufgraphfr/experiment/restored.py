"""The scores of a finished run, without what only training needs."""

from functools import partial

import torch

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.core.errors import of_another_version
from ufgraphfr.evaluation.protocol import Score
from ufgraphfr.experiment.checkpoint import Checkpoint
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.federation.private_state import private_state
from ufgraphfr.federation.scoring import device_score


def restored_score(experiment: Experiment, checkpoint: Checkpoint, setting: Setting) -> Score:
    """The scores of a checkpoint: of an algorithm's devices, or of a fitted baseline.

    Raises:
        InputError: another version made it, which kept other arrays.
    """
    model, server = experiment.model, checkpoint.server
    if isinstance(model, Algorithm):
        used = model_in_use(experiment, setting)
        check_known(used, checkpoint)
        private = private_state(used, setting, checkpoint.private)
        return device_score(used, server, private, checkpoint.round)
    return partial(model.score, server)


def check_known(algorithm: Algorithm, checkpoint: Checkpoint) -> None:
    """Check that a checkpoint has all arrays that this version ranks with.

    Raises:
        InputError: one is missing.
    """
    nobody = torch.zeros(0, dtype=torch.long)
    try:
        scoring_task(algorithm, checkpoint.server, nobody, checkpoint.round + 1)
    except KeyError as missing:
        raise of_another_version(
            f"the model has no array {missing}, which this version of '{algorithm.kind}' ranks with"
        ) from None
