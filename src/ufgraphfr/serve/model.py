"""A run's model as serving asks it: scores, what they are made of, and what it can serve."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import Blended, contributions
from ufgraphfr.baselines.base import Fused
from ufgraphfr.core.messages import Private, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.experiment.restored import check_known
from ufgraphfr.federation.private_state import private_state
from ufgraphfr.federation.scoring import on_devices
from ufgraphfr.ops.bends import bent
from ufgraphfr.ops.blend import coefficients, weighted

Scores: TypeAlias = Callable[[ClientBatch], Tensor]
Added: TypeAlias = Callable[[ClientBatch], dict[str, Tensor]]
"""What each part adds to the scores, each float ``[clients, items]``."""


Scored = TypeVar("Scored")


class Devices(Protocol):
    """Puts a question to clients' devices, each with the model and its own weights at hand."""

    def __call__(
        self, question: Callable[[Task, ClientBatch, Private], Scored], inputs: ClientBatch
    ) -> Scored:
        """Its answer for these clients."""


@dataclass(frozen=True)
class Model:
    """A trained model, and three questions to it.

    Attributes:
        personal: the model's name if it keeps weights of each user's own, else empty.
        score: of every item, float ``[clients, items]``.
        added: what each part adds to the scores.
        from_history: scores before what others have is mixed in for cold users.
    """

    personal: str
    score: Scores
    added: Added
    from_history: Scores

    @staticmethod
    def of(run: Run, setting: Setting) -> "Model":
        """The model of a finished run at its best round."""
        checkpoint, model = run.checkpoint, run.experiment.model
        fitted = checkpoint.server
        if not isinstance(model, Algorithm):
            score = partial(model.score, fitted)
            added = _fused_parts(model, fitted) or _alone(model.kind, score)
            return Model("", score, added, score)
        used = model_in_use(run.experiment, setting)
        private = private_state(used, setting, checkpoint.private)
        check_known(used, checkpoint)

        def devices(
            question: Callable[[Task, ClientBatch, Private], Scored], inputs: ClientBatch
        ) -> Scored:
            return on_devices(question, used, fitted, private, checkpoint.round, inputs)

        return Model.of_devices(used, setting, devices, bool(checkpoint.private))

    @staticmethod
    def of_devices(
        algorithm: Algorithm, setting: Setting, devices: Devices, personal: bool
    ) -> "Model":
        """The model of an algorithm, whose weights are where ``devices`` asks."""
        score: Scores = partial(devices, algorithm.score)
        from_history = score
        if isinstance(algorithm, Blended):
            from_history = partial(devices, partial(_weighted, algorithm))
        added = partial(devices, partial(contributions, algorithm, setting))
        return Model(algorithm.kind if personal else "", score, added, from_history)


def _weighted(model: Blended, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
    parts = model.parts(task, inputs, private)
    blend = coefficients(task.shared["blend"], model.priors).expand(1, len(inputs), -1)
    return weighted(parts, bent(blend, len(parts), inputs.counts, inputs.away))[0]


def _fused_parts(model: object, fitted: dict[str, Tensor]) -> Added | None:
    if not isinstance(model, Fused):
        return None

    def added(inputs: ClientBatch) -> dict[str, Tensor]:
        parts = model.parts(fitted, inputs)
        blend = fitted["blend"].expand(len(inputs), -1)
        own = bent(blend, len(parts), inputs.counts, inputs.away)
        own = own.T[..., None] * parts
        return dict(zip(model.part_names(fitted), own, strict=True))

    return added


def _alone(kind: str, score: Scores) -> Added:
    return lambda inputs: {kind: score(inputs)}
