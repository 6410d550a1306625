"""Clients and server in this process, and the rounds between them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transport import Rejected, Response, Transport
from ufgraphfr.federation.transports.base import TransportSpec
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.privacy.none import NoMechanism
from ufgraphfr.testing.contracts import require

LOCAL = Local()


@dataclass
class SmallFederation:
    """An algorithm's clients, its server's memory and everybody's private weights.

    Attributes:
        released: what the algorithm was given in the last round.
    """

    algorithm: Algorithm
    setting: Setting
    batch: ClientBatch
    store: PrivateState
    state: State
    seed: int = 3
    released: Report | None = None

    @classmethod
    def of(cls, algorithm: Algorithm, batch: ClientBatch, seed: int = 3) -> "SmallFederation":
        """A federation before its first round."""
        setting = Setting(batch.n_items, len(batch), batch.text.shape[1], seed)
        store = PrivateState(algorithm.init_private(setting, batch))
        return cls(algorithm, setting, batch, store, algorithm.init_server(setting), seed)

    def run(
        self,
        count: int,
        first: int = 1,
        chunk: int = 100,
        transport: TransportSpec = LOCAL,
        backwards: bool = False,
        **federation: float,
    ) -> "SmallFederation":
        """Run some rounds.

        Args:
            count: how many.
            first: number of the first.
            chunk: clients stacked at once.
            transport: the way to the clients.
            backwards: whether clients are asked, and so answer, in reverse order.
            federation: other keys of ``[federation]``.
        """
        client = Client(self.algorithm, NoMechanism())
        simulation = Simulation(client, self.batch, self.store, chunk)
        carrier = transport.to(simulation)
        spec = FederationSpec.model_validate({"rounds": first + count - 1, **federation})
        for done in rounds(
            Aggregator(self.algorithm, self.setting),
            NoMechanism(),
            _Backwards(carrier) if backwards else carrier,
            spec,
            self.batch.clients,
            self.state,
            Key(self.seed),
            first,
            seen=True,
        ):
            self.state, self.released = done.state, done.released
        return self

    def cacheable(self, count: int) -> dict[str, Tensor]:
        """Run some rounds from the first, and collect what devices keep once it has been sent.

        Raises:
            AssertionError: a later message holds another array of that name.
        """
        kept: dict[str, Tensor] = {}
        for number in range(1, count + 1):
            task = self.algorithm.broadcast(self.state, self.batch.clients, number)
            for name in task.cacheable:
                first = kept.setdefault(name, task.shared[name])
                same = torch.equal(task.shared[name], first)
                require(same, f"'{name}' is cacheable, but round {number} sends another")
            self.run(1, first=number)
        return kept

    def scores(self) -> Tensor:
        """Everybody's scores of all items, float ``[clients, items]``."""
        task = scoring_task(self.algorithm, self.state, self.batch.clients, 1)
        return self.algorithm.score(task, self.batch, self.store.gather(self.batch))


@dataclass(frozen=True)
class _Backwards:
    """A transport that asks the last client first."""

    carrier: Transport

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """See `Transport.exchange`."""
        return self.carrier.exchange(task_for, cohort.flip(0), key)
