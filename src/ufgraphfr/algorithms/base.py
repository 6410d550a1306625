"""What a federated algorithm must offer: both sides of the network, and no transport.

An algorithm is its hyper-parameters. All state is handed in and handed back: the server's memory,
and the weights that stay on each device.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ufgraphfr.core.arrays.protocol import Matrix
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.core.releases import Budget, Release
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
    """

    items: int
    clients: int
    text_width: int
    seed: int
    features: Tensor | None = None
    item_text: Tensor | None = None


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

    @abstractmethod
    def init_server(self, setting: Setting) -> State:
        """The server's memory before the first round."""

    @abstractmethod
    def init_private(self, setting: Setting, shard: ClientBatch) -> Private:
        """The weights that stay with these clients, before they first take part."""

    @abstractmethod
    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """What the server sends to these clients."""

    @abstractmethod
    def local(
        self, task: Task, shard: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """Train on the device.

        Args:
            task: what the server sent. Only if its ``aggregation`` is a sum may updates be added
                up here already (`Update.summed`).
            shard: the clients' data, most interactions first.
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
            task: what the server would send, as of `evaluated`.
            inputs: the clients' text and their history at test time.
            private: their weights.
        """

    def is_feasible(self, report: Report, setting: Setting) -> bool:
        """Whether an honest client could have sent this, beyond its form; asked of one client."""
        return True

    def item_views(
        self, arrays: dict[str, Tensor], setting: Setting, round_number: int
    ) -> dict[str, Tensor]:
        """Views of each client's arrays by what they are, so that item rows can be told.

        Args:
            arrays: each ``[clients, ...]``.
            setting: the federation.
            round_number: in which they were sent.

        Returns:
            ``[clients, ...]``; one whose second axis is ``items`` holds a row for each item. All
            are views but what has no rows to view.
        """
        return arrays

    def matrices(self, task: Task) -> dict[str, tuple[Matrix, ...]]:
        """Where flat arrays of the answers to a task hold matrices, by the arrays' names."""
        return {}

    def asks_all_clients(self, round_number: int) -> bool:
        """Whether this round asks every client once, whatever the size of a cohort."""
        return False

    def releases(self, rounds: int) -> tuple[Release, ...]:
        """What clients upload in which of the rounds; by default one update a round."""
        return (Release("update", 1, rounds),)

    def for_budget(self, budget: Budget, setting: Setting) -> "Algorithm":
        """The form of this model for a privacy budget; by default the same model."""
        return self

    def rationale(self) -> tuple[str, ...]:
        """Why this form was chosen for its budget, a line for each part of the model."""
        return ()

    @property
    def asks_for_item_text(self) -> bool:
        """Whether `Setting.item_text` is needed; embedding all titles takes a while."""
        return False

    @property
    def integer_bounds(self) -> dict[str, int]:
        """Uploaded arrays of whole numbers from 0, and the most that one client adds to each."""
        return {}

    def blends(self) -> Tensor | None:
        """Weights of the model's parts to choose from on validation.

        Returns:
            float ``[choices, parts]``, or None for a model of one part. What is chosen becomes
            ``blend`` in the server's memory.
        """
        return None

    def parts(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """Scores of each part, float ``[parts, clients, items]``; see `blends` and `score`."""
        return self.score(task, inputs, private)[None]

    def evaluated(self, state: State, clients: Tensor, round_number: int) -> Task:
        """The task whose tables are evaluated; by default what the server would send next."""
        return self.broadcast(state, clients, round_number)


def on(device: torch.device, arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same arrays on a device."""
    return {name: value.to(device) for name, value in arrays.items()}
