"""A federation small enough for every test: thirty made-up users on two nodes."""

import copy
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.deploy.agent.shard import Agent, ShardFolder
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import plan_tryout, write
from ufgraphfr.deploy.operations.launcher import import_samples
from ufgraphfr.deploy.server.handshake import greet
from ufgraphfr.deploy.server.metrics import Tally
from ufgraphfr.deploy.server.participants import Roster
from ufgraphfr.deploy.server.remote_clients import Remote
from ufgraphfr.deploy.server.settings import Terms
from ufgraphfr.deploy.wire.engine import Requests
from ufgraphfr.deploy.wire.message import pack
from ufgraphfr.experiment import build, execute

TOY: dict[str, Any] = {
    "name": "toy",
    "seed": 3,
    "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "ufgraphformer", "dim": 8, "hidden": 16, "graph": {"rounds": 1}},
    "federation": {"rounds": 4, "cohort": 20, "chunk": 7},
    "evaluation": {"every": 2, "chunk": 8},
}
NODES = ("node-1", "node-2")


def untouched(_node: str, _round: int, chunks: list[bytes]) -> list[list[bytes]]:
    """What comes back if nobody tampers."""
    return [chunks]


@dataclass
class HerePost:
    """Agents in this process, asked one after the other; `changed` may tamper with an answer."""

    agents: dict[str, Agent]
    changed: Callable[[str, int, list[bytes]], list[list[bytes]]] = untouched
    asked: list[tuple[str, list[bytes]]] = field(default_factory=list)

    def reachable(self) -> set[str]:
        return set(self.agents)

    def ask(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        for node in nodes:
            chunks = pack(requests(node))
            self.asked.append((node, chunks))
            if node in self.agents:
                answer = self.agents[node].answer(chunks)
                for each in self.changed(node, round_number, answer):
                    yield node, each


@dataclass
class Federation:
    """A deployment's folder, and its parts in this process."""

    folder: Deployment
    agreement: Agreement
    catalogue: Catalogue
    terms: Terms = field(default_factory=lambda: Terms(deadline=30.0, patience=0.1))

    def shard(self, node: str) -> ShardFolder:
        return ShardFolder(self.folder.node(node).shard)

    def agents(self) -> dict[str, Agent]:
        return {node: Agent(self.shard(node)) for node in NODES}

    def people(self, post: HerePost, terms: Terms | None = None) -> Remote:
        roster, terms = self.folder.server.roster, terms or self.terms
        if not roster.exists():
            greet(self.agreement, post, terms).write(roster)
        tally = Tally(self.folder.server.tally, self.agreement.experiment.federation.rounds)
        return Remote(self.agreement, self.catalogue, post, terms, Roster.read(roster), tally)

    def run(self, post: HerePost, terms: Terms | None = None, stop_after: int = 0) -> Path:
        """Run, or go on; ``stop_after`` rounds the server dies."""
        people = self.people(post, terms)
        out = self.folder.server.run
        steps = execute(
            self.agreement.experiment, out, resume=True, device="cpu", population=people
        )
        for number, _ in enumerate(steps, start=1):
            if number == stop_after:
                steps.close()
                break
        return out


def toy_values(**changes: Any) -> dict[str, Any]:
    values = copy.deepcopy(TOY)
    for table, change in changes.items():
        same = change.get("kind", values[table].get("kind")) == values[table].get("kind")
        values[table] = {**values[table], **change} if same else change
    return values


def federate(path: Path, values: dict[str, Any], **terms: Any) -> Federation:
    folder = Deployment(path)
    plan = plan_tryout(build(values), len(NODES), folder)
    write(folder, plan, Terms(**terms))
    for node in NODES:
        import_samples(folder, node)
    return Federation(folder, plan.agreement, plan.catalogue)
