"""A run's model as serving asks it: scores, what they are made of, and what it can serve."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import Blended, contributions
from ufgraphfr.baselines.base import Fused
from ufgraphfr.core.messages import Private, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.scoring import on_devices

Scores: TypeAlias = Callable[[ClientBatch], Tensor]
Added: TypeAlias = Callable[[ClientBatch], dict[str, Tensor]]
"""What each part adds to the scores, each float ``[clients, items]``."""


class Model:
    """The weights of a run's best round, and three questions to them.

    Attributes:
        personal: the model's name if it keeps weights of each user's own, else empty.
        score: of every item, float ``[clients, items]``.
        added: what each part adds to the scores.
        from_history: scores before what others have is mixed in for cold users.
    """

    def __init__(self, run: Run, prepared: PreparedExperiment) -> None:
        """Takes a finished run and its data."""
        checkpoint, experiment = run.checkpoint, run.experiment
        self.personal = experiment.model.kind if checkpoint.private else ""
        self.score: Scores = run.score(prepared)
        self.from_history: Scores = self.score
        self.added: Added
        model, fitted = experiment.model, checkpoint.server
        if not isinstance(model, Algorithm):
            self.added = _fused_parts(model, fitted) or _alone(model.kind, self.score)
            return
        used = model_in_use(experiment, prepared.setting)
        arguments = used, fitted, PrivateState(checkpoint.private), checkpoint.round
        explained = partial(contributions, used, prepared.setting)
        self.added = lambda inputs: on_devices(explained, *arguments, inputs)
        if isinstance(used, Blended):
            linear = partial(_weighted, used)
            self.from_history = lambda inputs: on_devices(linear, *arguments, inputs)


def _weighted(model: Blended, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
    parts = model.parts(task, inputs, private)
    return torch.einsum("p,pci->ci", task.shared["blend"][: len(parts)], parts)


def _fused_parts(model: object, fitted: dict[str, Tensor]) -> Added | None:
    if not isinstance(model, Fused):
        return None

    def added(inputs: ClientBatch) -> dict[str, Tensor]:
        own = fitted["blend"][:, None, None] * model.parts(fitted, inputs)
        return dict(zip(model.part_names(fitted), own, strict=True))

    return added


def _alone(kind: str, score: Scores) -> Added:
    return lambda inputs: {kind: score(inputs)}
