"""Scores as the devices compute them, for evaluation and for recommending."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import blended, parts, scoring_task
from ufgraphfr.core.messages import Private, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.metric_sums import Model
from ufgraphfr.federation.private_state import PrivateState

Scored = TypeVar("Scored")


def device_score(
    algorithm: Algorithm, state: State, store: PrivateState, round_number: int
) -> Callable[[ClientBatch], Tensor]:
    """A function from clients with their input to scores of every item.

    Args:
        algorithm: the model.
        state: the server's memory.
        store: everybody's private weights.
        round_number: how many rounds are done.

    Returns:
        From clients to float ``[clients, items]``.
    """
    return partial(on_devices, algorithm.score, algorithm, state, store, round_number)


def device_model(
    algorithm: Algorithm, state: State, store: PrivateState, round_number: int
) -> Model:
    """As `device_score`, the parts of the model and their blends apart."""
    scored = partial(on_devices, partial(parts, algorithm), algorithm, state, store)

    def blend(inputs: ClientBatch, scores: Tensor, weights: Tensor) -> Tensor:
        inputs = inputs.to(store.device)
        task = scoring_task(algorithm, state, inputs.clients, round_number + 1)
        return blended(algorithm, task, inputs, scores, weights)

    return Model(partial(scored, round_number), blend)


def on_devices(
    score: Callable[[Task, ClientBatch, Private], Scored],
    algorithm: Algorithm,
    state: State,
    store: PrivateState,
    round_number: int,
    inputs: ClientBatch,
) -> Scored:
    """What a function of the model says of clients, with all that their devices have."""
    inputs = inputs.to(store.device)
    task = scoring_task(algorithm, state, inputs.clients, round_number + 1)
    return score(task, inputs, store.gather(inputs))
