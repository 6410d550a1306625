"""What a federated algorithm must offer: both sides of the network, and no transport.

An algorithm is its hyper-parameters. All state is handed in and handed back: the server's memory,
and the weights that stay on each device. Four methods are needed; `capabilities` are optional.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch


@dataclass(frozen=True)
class Setting:
    """The public facts of a federation.

    Attributes:
        items: size of the catalogue.
        clients: how many clients there are.
        text_width: E, of the embedded profiles.
        seed: of the initial weights, known to server and clients.
        features: float ``[items, columns]``, what is publicly known of each item, or None.
        item_text: float ``[items, width]``, the embedded titles, for models that ask for them.
        sequential: whether histories have an order that means something.
        expected_clients: how many are counted on, where ``clients`` is how many ids there are;
            None if they are the same.
        profiles: float ``[profiles, text_width]``, the embedded sentences of all profiles that
            are declared to be possible; None without a budget or a declaration.
    """

    items: int
    clients: int
    text_width: int
    seed: int
    features: Tensor | None = None
    item_text: Tensor | None = None
    sequential: bool = True
    expected_clients: int | None = None
    profiles: Tensor | None = None


@dataclass(frozen=True)
class Update:
    """What local training yields, before any mechanism; it never leaves the client function.

    Attributes:
        arrays: changes, each ``[clients, ...]``, or sums of them over the clients.
        loss: float ``[clients]``, mean training loss.
        summed: whether the arrays are sums; an algorithm that can form a sum directly saves
            holding every client's share of it.
    """

    arrays: dict[str, Tensor | Rows]
    loss: Tensor
    summed: bool = False


class Algorithm(Spec, ABC):
    """A federated algorithm; fields are the keys of its ``[algorithm]`` table."""

    aggregation: ClassVar[Aggregation]
    """Whether `aggregate` needs each client's update, or only sums over clients."""
    server_only: ClassVar[frozenset[str]] = frozenset()
    """Arrays of the server's memory that it keeps to itself, e.g. an optimiser's moments."""

    @abstractmethod
    def init_server(self, setting: Setting) -> State:
        """The server's memory before the first round."""

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """The weights that stay with these clients, before they first take part; default none."""
        return {}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """What the server sends to these clients.

        By default its whole memory as shared arrays, but what `server_only` names.
        """
        shared = {name: value for name, value in state.items() if name not in self.server_only}
        return Task(round_number, clients, shared, {})

    @abstractmethod
    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """Train on the device.

        Args:
            task: what the server sent. Only if its ``aggregation`` is a sum may updates be added
                up here already (`Update.summed`).
            batch: the clients' data, most interactions first.
            private: their weights; not modified.
            key: seed and round of all randomness.

        Returns:
            What the mechanism may release, and the new private weights.
        """

    @abstractmethod
    def aggregate(self, state: State, report: Report) -> State:
        """The server's memory after a round.

        Args:
            state: before it.
            report: all replies: each client's own in ``arrays``, or their sums in ``sums``.
        """

    @abstractmethod
    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """Scores of every item on the device, float ``[clients, items]``.

        Args:
            task: what the server would send, see `capabilities.scoring_task`.
            inputs: the clients' text and their history at test time.
            private: their weights.
        """


def on(device: torch.device, arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same arrays on a device."""
    return {name: value.to(device) for name, value in arrays.items()}
