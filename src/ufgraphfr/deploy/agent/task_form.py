"""The form that the arrays of a request must have: that of the agreed algorithm's own."""

from dataclasses import replace

import torch
from torch import Tensor

from ufgraphfr.core.arrays.tables import DenseTables
from ufgraphfr.core.messages import Task
from ufgraphfr.deploy.agent.answers import Refused


def without_values(task: Task) -> Task:
    """The kinds and shapes of a task's arrays, which take no memory."""
    personal = {name: DenseTables(each.dense().to("meta")) for name, each in task.personal.items()}
    shared = {name: value.to("meta") for name, value in task.shared.items()}
    return replace(task, shared=shared, personal={**personal})


def check_like(task: Task, model: Task, growing: frozenset[str] = frozenset()) -> None:
    """A task holds the arrays that a model of it holds, in the same shapes, all finite.

    Those that are ``growing`` may be of any length.

    Raises:
        Refused: it does not.
    """
    if task.shared.keys() != model.shared.keys() or task.personal.keys() != model.personal.keys():
        raise Refused("the task holds other arrays than the agreed algorithm sends")
    for name, value in task.shared.items():
        shape = tuple(model.shared[name].shape)
        if name in growing:
            shape = (*value.shape[:1], *shape[1:])
        check_array(value, model.shared[name].dtype, shape)
    for name, personal in task.personal.items():
        # as decoded, tables are dense: this is a view
        shape = (len(task.clients), *model.personal[name].shape[1:])
        check_array(personal.dense(), torch.float32, shape)


def check_array(value: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """An array is of a kind and shape, and finite; or empty.

    Raises:
        Refused: it is not.
    """
    # the server sends an array empty once it is not needed any more
    if value.dtype != dtype or (tuple(value.shape) != shape and value.numel()):
        raise Refused("an array of another kind or shape than agreed")
    if value.is_floating_point() and value.numel():
        # the extremes of numbers that are not all finite are not finite either
        low, high = value.aminmax()
        if not bool(low.isfinite() & high.isfinite()):
            raise Refused("a number that is not finite")
