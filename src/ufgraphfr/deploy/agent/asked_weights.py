"""Which weights of a blend an evaluation is asked at, and whether that was agreed on."""

import torch
from torch import Tensor

from ufgraphfr.algorithms import capabilities
from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.messages import Task
from ufgraphfr.data.split import HeldOut
from ufgraphfr.deploy.agent.answers import Refused
from ufgraphfr.deploy.agent.task_form import check_array
from ufgraphfr.deploy.wire.message import Envelope
from ufgraphfr.deploy.wire.payload import decode_arrays
from ufgraphfr.ops.blend import coefficients

MAX_CHOICES = 16
"""Blends that a server may try at once."""


def asked_weights(
    request: Envelope,
    part: HeldOut,
    task: Task,
    algorithm: Algorithm,
    private: bool,
) -> tuple[str, Tensor]:
    """What is asked for, ``fit`` or ``choices``, and at which weights.

    See `RemoteClients.validate`; without a word of it the model is evaluated as it is.

    Args:
        request: to evaluate.
        part: of the data.
        task: of the request.
        algorithm: that was agreed on.
        private: whether all that leaves is paid for.

    Raises:
        Refused: it was not agreed on, or has another form.
    """
    if not isinstance(algorithm, capabilities.Blended):
        if len(request.parts) != 2:
            raise Refused("the agreed algorithm has no blend")
        return "choices", torch.ones(1, 1)
    if len(request.parts) == 2:
        return "choices", task.shared["blend"][None]
    if part != "validation" or private:
        raise Refused("a blend is chosen on validation, and without a budget")
    arrays = decode_arrays(request.parts[2])
    if len(arrays) != 1 or not arrays.keys() <= {"fit", "choices"}:
        raise Refused("neither a fit nor a choice")
    name, weights = arrays.popitem()
    shape: tuple[int, ...]
    if name == "fit":
        kind, shape = torch.float64, (3, len(coefficients(task.shared["blend"], algorithm.priors)))
    else:
        count = min(MAX_CHOICES, weights.shape[1]) if weights.dim() == 3 else 0
        kind, shape = torch.float32, (2, max(1, count), len(task.shared["blend"]))
    check_array(weights, kind, shape)
    if not weights.numel():
        raise Refused("no weights")
    return name, weights
