"""A simulation in which some clients are malicious, and every reply arrives by itself."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import matrices
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, Task
from ufgraphfr.federation.adversaries.base import Adversary, Aim
from ufgraphfr.federation.client import Request
from ufgraphfr.federation.simulation import Simulation


@dataclass(frozen=True)
class AdversarialSimulation:
    """Honest and malicious clients, in this process.

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
        """See `Clients.bytes_up`: of an honest client where nobody looks at single replies."""
        if self.simulation.client.upload is None:
            task = replace(task, aggregation=self.algorithm.aggregation)
        return self.simulation.bytes_up(task, key)

    def chunks(self, cohort: Tensor, round_number: int) -> Iterator[Tensor]:
        """The honest clients as always, then the malicious ones one by one."""
        malicious = torch.isin(cohort, self.aim.clients.to(cohort.device))
        yield from self.simulation.chunks(cohort[~malicious], round_number)
        yield from cohort[malicious].split(1) if bool(malicious.any()) else ()

    def answer(self, task: Task, key: Key) -> Report:
        """Let the clients of a task train; malicious ones reply what they like."""
        if not bool(torch.isin(task.clients[:1], self.aim.clients.to(task.clients.device))):
            return self.simulation.answer(task, key)
        forged = self.adversary.reply(self._trained(task, key), task, self.aim)
        upload = self.simulation.client.upload
        if task.aggregation is Aggregation.SUM:
            try:
                return forged.total()
            except (RuntimeError, IndexError):
                # no sum can be made of it, and the server refuses anything else
                return forged
        plain = {name: value.plain() for name, value in forged.arrays.items()}
        if upload is None or any(value.sparse for value in plain.values()):
            return forged
        held = matrices(self.algorithm, task)
        return replace(forged, arrays=upload.prepared(plain, task.clients, key, held))

    def _trained(self, task: Task, key: Key) -> Report:
        """What one client would reply on its made-up history, by itself and not compressed."""
        batch = self.adversary.history(self.simulation.batch.select(task.clients), self.aim)
        private = self.simulation.private_state.gather(batch)
        client = replace(self.simulation.client, upload=None)
        alone = replace(task, aggregation=Aggregation.PER_CLIENT)
        report, after = client.respond(Request(alone, batch, private, key))
        self.simulation.private_state.scatter(task.clients, after)
        return report
