"""The private weights of simulated clients: of all of them, or of those who have taken part.

Where clients are few, everybody's lie in memory, stacked. Where they are many, a client's are made
from its key when they are asked for, and kept once it has trained: in slots of a file without a
name, mapped into memory, whose unused part takes no space. What is kept is then ``[kept, ...]``,
and `CLIENTS` says whose it is.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.messages import Private
from ufgraphfr.data.client_batches import ClientBatch

CLIENTS = "clients.kept"
"""Of private weights: int64 ``[kept]``, whose they are, ascending; absent if they are everybody's,
and reserved: no algorithm names its weights so."""

MANY = 50_000
"""From so many clients on only those who have taken part have weights of their own."""


class PrivateState:
    """Weights that stay home; clients that sit out keep theirs."""

    def __init__(
        self,
        weights: Private,
        start: Callable[[ClientBatch], Private] | None = None,
        clients: int = 0,
        device: torch.device | None = None,
    ) -> None:
        """Takes the weights, each ``[clients, ...]``, and updates them in place.

        Args:
            weights: of all clients; or of some, see `CLIENTS`, which are copied.
            start: the weights that some clients begin with. With it, ``weights`` are of those who
                have taken part, none if nobody has.
            clients: how many there are, of whom any may take part.
            device: where the weights are, if they are not everybody's.
        """
        self.weights = weights
        self._start, self._device = start, device
        if start is None:
            return
        self._slot = torch.full((clients,), -1, dtype=torch.int32)
        self._used, self.weights = 0, Private()
        if weights:
            own = {name: value for name, value in weights.items() if name != CLIENTS}
            few = next(iter(own.values()))
            self.scatter(weights.get(CLIENTS, torch.arange(len(few))), own)

    def copy(self) -> "PrivateState":
        """The same weights, to be updated apart from these."""
        own = {name: value.clone() for name, value in self.kept().items()}
        clients = 0 if self._start is None else len(self._slot)
        return PrivateState(own, self._start, clients, self._device)

    def gather(self, batch: ClientBatch) -> Private:
        """A copy of the weights of some clients."""
        if self._start is None:
            return {n: value.index_select(0, batch.clients) for n, value in self.weights.items()}
        slots = self._slot[batch.clients.cpu()].long()
        there = (slots >= 0).nonzero()[:, 0]
        found = self._start(batch)
        for name, value in self.weights.items() if len(there) else ():
            rows = value[slots[there]].to(batch.clients.device)
            found[name] = found[name].index_copy(0, there.to(rows.device), rows)
        return found

    def scatter(self, clients: Tensor, weights: Private) -> None:
        """Replace the weights of some clients, distinct int64 ``[n]``."""
        if self._start is None:
            for name, value in weights.items():
                self.weights[name].index_copy_(0, clients, value)
            return
        clients = clients.cpu()
        fresh = clients[self._slot[clients] < 0]
        self._slot[fresh] = torch.arange(self._used, self._used + len(fresh), dtype=torch.int32)
        self._used += len(fresh)
        slots = self._slot[clients].long()
        for name, value in weights.items():
            if name not in self.weights:
                self.weights[name] = _on_disk(len(self._slot), value)
            self.weights[name].index_copy_(0, slots, value.cpu())

    def kept(self) -> Private:
        """What a checkpoint needs: everybody's weights, or a copy of those of who took part."""
        if self._start is None or not self.weights:
            return self.weights
        clients = (self._slot >= 0).nonzero()[:, 0]
        slots = self._slot[clients].long()
        return {name: value[slots] for name, value in self.weights.items()} | {CLIENTS: clients}

    @property
    def device(self) -> torch.device:
        """Where the weights are used."""
        if self._device is not None:
            return self._device
        return next(iter(self.weights.values()), torch.empty(0)).device


def private_state(
    algorithm: Algorithm, setting: Setting, private: Private, device: torch.device | None = None
) -> PrivateState:
    """The state that a checkpoint's private weights are of; with none of many clients, a new one.

    Args:
        algorithm: what every client runs.
        setting: the federation.
        private: what `PrivateState.kept` gave.
        device: where the weights are used.
    """
    if CLIENTS not in private and (private or setting.clients < MANY):
        return PrivateState(private)
    start = partial(algorithm.init_private, setting)
    return PrivateState(private, start, setting.clients, device)


def _on_disk(height: int, like: Tensor) -> Tensor:
    """Zeros ``[height, ...]`` with rows like these, in a file that ends with this process."""
    shape = (height, *like.shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        # what is mapped stays, and the file has no name any more
        path = str(Path(folder, "weights"))
        flat = torch.from_file(path, True, torch.Size(shape).numel(), dtype=like.dtype)
    return flat.view(shape)
