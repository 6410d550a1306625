"""A simulation in which some clients are malicious, and every reply arrives by itself."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import asks_all_clients, matrices
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, Task
from ufgraphfr.federation.adversaries.base import Adversary, Aim
from ufgraphfr.federation.client import respond
from ufgraphfr.federation.transport import Simulation


@dataclass(frozen=True)
class Hostile:
    """Honest and malicious clients, in this process.

    In rounds that ask everyone once, honest contributions arrive summed: the item graph's are
    too large to be held one by one, and are bounded by what an algorithm finds plausible.

    Attributes:
        simulation: all clients, were they honest.
        adversary, aim: what the malicious ones do.
    """

    simulation: Simulation
    adversary: Adversary
    aim: Aim

    @property
    def algorithm(self) -> Algorithm:
        """What every client runs."""
        return self.simulation.algorithm

    def bytes_up(self, task: Task, key: Key) -> float:
        """See `Simulation.bytes_up`."""
        return self.simulation.bytes_up(task, key)

    def chunks(self, cohort: Tensor) -> Iterator[Tensor]:
        """The honest clients as always, then the malicious ones one by one."""
        malicious = torch.isin(cohort, self.aim.clients.to(cohort.device))
        yield from self.simulation.chunks(cohort[~malicious])
        yield from cohort[malicious].split(1) if bool(malicious.any()) else ()

    def answer(self, task: Task, key: Key) -> Report:
        """Let the clients of a task train; malicious ones reply what they like."""
        if not bool(torch.isin(task.clients[:1], self.aim.clients.to(task.clients.device))):
            simulation = self.simulation
            together = asks_all_clients(simulation.algorithm, task.round)
            return simulation.answer(task, key) if together else simulation.apart(task, key)
        batch = self.adversary.history(self.simulation.batch.select(task.clients), self.aim)
        mine = self.simulation.store.gather(task.clients)
        algorithm, mechanism = self.simulation.algorithm, self.simulation.mechanism
        report, after = respond(algorithm.apart(), mechanism, task, batch, mine, key, apart=True)
        self.simulation.store.scatter(task.clients, after)
        forged = self.adversary.reply(report.apart(), task, self.aim)
        if asks_all_clients(algorithm, task.round):
            return forged.total()
        upload = self.simulation.upload
        if upload is None or not all(isinstance(v, Tensor) for v in forged.arrays.values()):
            return forged
        dense = {name: v for name, v in forged.arrays.items() if isinstance(v, Tensor)}
        return replace(
            forged,
            arrays=upload.prepared({**dense}, task.clients, key, matrices(algorithm, task)),
        )
