"""A federation small enough to know the answer of: the checkerboard."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transport import Local
from ufgraphfr.privacy.none import NoMechanism

SIZE = 24


@dataclass
class Federation:
    """Clients, server and their weights."""

    algorithm: Algorithm
    setting: Setting
    batch: ClientBatch
    store: PrivateState
    state: State
    seed: int = 3

    @classmethod
    def of(cls, algorithm: Algorithm, batch: ClientBatch, seed: int = 3) -> "Federation":
        setting = Setting(batch.n_items, len(batch), batch.text.shape[1], seed)
        private = algorithm.init_private(setting, batch)
        store = PrivateState(private)
        return cls(algorithm, setting, batch, store, algorithm.init_server(setting), seed)

    def run(
        self, count: int, first: int = 1, chunk: int = 100, cohort: float = 1.0
    ) -> "Federation":
        client = Client(self.algorithm, NoMechanism())
        simulation = Simulation(client, self.batch, self.store, chunk)
        spec = FederationSpec(rounds=first + count - 1, cohort=cohort)
        done = rounds(
            Aggregator(self.algorithm, self.setting),
            NoMechanism(),
            Local(simulation),
            spec,
            self.batch.clients,
            self.state,
            Key(self.seed),
            first,
        )
        for step in done:
            self.state = step.state
        return self

    def cacheable(self, count: int) -> dict[str, Tensor]:
        """What is sent once; it must be the same in each message of the first rounds."""
        kept: dict[str, Tensor] = {}
        for number in range(1, count + 1):
            task = self.algorithm.broadcast(self.state, self.batch.clients, number)
            for name in task.cacheable:
                first = kept.setdefault(name, task.shared[name])
                assert torch.equal(task.shared[name], first), name
            self.run(1, first=number)
        return kept

    def scores(self) -> Tensor:
        task = scoring_task(self.algorithm, self.state, self.batch.clients, 1)
        everyone = self.store.gather(self.batch.clients)
        return self.algorithm.score(task, self.batch, everyone)


@pytest.fixture
def checkerboard() -> ClientBatch:
    """User u likes the items of its own colour (u and i both even or both odd) but never saw i = u.

    The profile says the colour, and something of the user's own.
    """
    own = torch.arange(SIZE)
    liked = (own[:, None] + own[None, :]) % 2 == 0
    liked[own, own] = False
    counts = liked.sum(1)
    ptr = torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0)))
    # every user met its items in another order
    items = torch.cat([row.nonzero()[:, 0].roll(user) for user, row in enumerate(liked)])
    excluded = liked.nonzero()[:, 1]
    colour = torch.nn.functional.one_hot(own % 2, 2).float()
    text = torch.cat((colour, 0.3 * torch.eye(SIZE)), dim=1)
    text = torch.nn.functional.normalize(text, dim=1)
    return ClientBatch(own, ptr, items, ptr, excluded, text, SIZE)


@pytest.fixture
def federation_of() -> Callable[..., Federation]:
    """Makes a federation of an algorithm and a shard."""
    return Federation.of
