"""The private weights of all simulated clients, in memory."""

import torch
from torch import Tensor

from ufgraphfr.core.messages import Private


class PrivateState:
    """Weights that stay home, stacked over all clients; clients that sit out keep theirs."""

    def __init__(self, weights: Private) -> None:
        """Takes the weights, each ``[clients, ...]``, and updates them in place."""
        self.weights = weights

    def copy(self) -> "PrivateState":
        """The same weights, to be updated apart from these."""
        return PrivateState({name: value.clone() for name, value in self.weights.items()})

    def gather(self, clients: Tensor) -> Private:
        """A copy of the weights of some clients, int64 ``[n]``."""
        return {name: value.index_select(0, clients) for name, value in self.weights.items()}

    def scatter(self, clients: Tensor, weights: Private) -> None:
        """Replace the weights of some clients."""
        for name, value in weights.items():
            self.weights[name].index_copy_(0, clients, value)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(iter(self.weights.values()), torch.empty(0)).device
