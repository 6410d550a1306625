"""A simulation in which some clients are malicious, and every reply arrives by itself."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, Task, combine
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

    def chunks(self, cohort: Tensor) -> Iterator[Tensor]:
        """The honest clients as always, then the malicious ones one by one."""
        malicious = torch.isin(cohort, self.aim.clients.to(cohort.device))
        yield from self.simulation.chunks(cohort[~malicious])
        yield from cohort[malicious].split(1) if bool(malicious.any()) else ()

    def answer(self, task: Task, key: Key) -> Report:
        """Let the clients of a task train; malicious ones reply what they like."""
        if not bool(torch.isin(task.clients[:1], self.aim.clients.to(task.clients.device))):
            return self._honest(task, key)
        shard = self.adversary.history(self.simulation.shard.select(task.clients), self.aim)
        mine = self.simulation.store.gather(task.clients)
        algorithm, mechanism = self.simulation.algorithm, self.simulation.mechanism
        report, after = respond(algorithm, mechanism, task, shard, mine, key, apart=True)
        self.simulation.store.scatter(task.clients, after)
        forged = self.adversary.reply(report.apart(), self.aim)
        return forged.total() if algorithm.everyone(task.round) else forged

    def _honest(self, task: Task, key: Key) -> Report:
        if self.simulation.algorithm.everyone(task.round):
            return self.simulation.answer(task, key)
        apart = replace(self.simulation, apart=True)
        places = torch.arange(len(task.clients), device=task.clients.device)
        first = apart.answer(task.select(places[:1]), key)
        if len(places) == 1:
            return first.apart()
        rest = places[1:]
        if not first.summed:
            return combine([first, apart.answer(task.select(rest), key)])
        others = [apart.answer(task.select(place), key).apart() for place in rest.split(1)]
        return combine([first.apart(), *others])
