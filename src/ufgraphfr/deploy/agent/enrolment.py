"""Who is in a run and in a release: what was claimed of each person holds, whoever is asked for.

Who is in a run is fixed by its first message. Under a total for life a person is in if the whole
run can still be paid for. Who is not stays at the node, and is still served.
"""

import time

import torch
from torch import Tensor

from ufgraphfr.deploy.agent.answers import Refused
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.guarantee import ShardMechanism
from ufgraphfr.deploy.agreement.lifetime import Lifetime
from ufgraphfr.privacy.base import Mechanism
from ufgraphfr.privacy.central_jdp import CentralJDP


class Enrolment:
    """The persons of one shard under one agreement."""

    def __init__(self, store: ShardStore, agreement: Agreement, mechanism: Mechanism) -> None:
        """Takes what was spent on whom, what was agreed on, and what a release costs."""
        self._store, self._agreement, self._mechanism = store, agreement, mechanism

    def enrol(self, run: str, clients: Tensor) -> None:
        """Fix who of the clients is in a run.

        Raises:
            Refused: everybody's total for life is spent.
        """
        chosen = clients[self.affordable(clients)]
        if len(chosen) == 0:
            raise Refused("everybody's total for life is spent")
        with self._store.transaction():
            self._store.answers.enrol(run, chosen.tolist())

    def affordable(self, clients: Tensor) -> Tensor:
        """bool ``[clients]``: for whom a whole run can still be paid for."""
        lifetime, mechanism = self._agreement.lifetime, self._mechanism
        if lifetime is None or not isinstance(mechanism, ShardMechanism):
            return torch.ones(len(clients), dtype=torch.bool)
        costs = self._store.participations.costs(lifetime.since(time.time()))
        run = mechanism.mu_squared
        affords = [lifetime.covers(costs.get(client, 0.0) + run) for client in clients.tolist()]
        return torch.tensor(affords, dtype=torch.bool)

    def admitted(self, run: str, clients: Tensor, number: int) -> Tensor:
        """bool ``[clients]``: who may go into the release of a round, which is counted for them.

        Raises:
            Refused: fewer than the agreement asks for.
        """
        assert isinstance(self._mechanism, ShardMechanism)
        agreement, participations = self._agreement, self._store.participations
        key, lifetime = run_key(agreement, run), agreement.lifetime
        admitted = participations.admit(key, self._mechanism, number, clients, lifetime)
        if int(admitted.sum()) < agreement.min_users:
            raise Refused("too few of the clients may take part again under the guarantee")
        return admitted


def run_key(agreement: Agreement, run: str) -> str:
    """Under which a run's participations are counted: its agreement, and which run of it."""
    _, dot, number = run.partition(".")
    return agreement.root + dot + number


def beyond(store: ShardStore, agreement: Agreement) -> int:
    """How many users' totals for life do not afford another run."""
    lifetime, spec = agreement.lifetime, agreement.experiment.mechanism
    if lifetime is None or not isinstance(spec, CentralJDP):
        return 0
    run = Lifetime(spec.epsilon, spec.delta).mu_squared
    costs = store.participations.costs(lifetime.since(time.time()))
    return sum(not lifetime.covers(costs.get(user, 0.0) + run) for user in store.numbers())
