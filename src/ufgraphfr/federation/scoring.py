"""Scores as the devices compute them, for evaluation and for recommending."""

from collections.abc import Callable

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.private_state import PrivateState


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

    def score(inputs: ClientBatch) -> Tensor:
        inputs = inputs.to(store.device)
        task = algorithm.evaluated(state, inputs.clients, round_number + 1)
        return algorithm.score(task, inputs, store.gather(inputs.clients))

    return score
