"""A federation small enough for every test: thirty made-up users on two nodes."""

import copy
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.lifetime import Lifetime
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft_tryout, write
from ufgraphfr.deploy.operations.launcher import set_up_node
from ufgraphfr.deploy.server.attempts import Attempts
from ufgraphfr.deploy.server.handshake import handshake
from ufgraphfr.deploy.server.ledger_heads import LedgerHeads
from ufgraphfr.deploy.server.metrics import RunMetrics
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.remote_clients import RemoteClients
from ufgraphfr.deploy.server.settings import ServerSettings
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
    """The replies if nobody tampers."""
    return [chunks]


@dataclass
class LocalEngine:
    """Agents in this process, asked one after the other; `changed` may tamper with a reply."""

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
                reply = self.agents[node].answer(chunks)
                for each in self.changed(node, round_number, reply):
                    yield node, each


@dataclass
class Federation:
    """A deployment's folder, and its parts in this process."""

    folder: Deployment
    agreement: Agreement
    catalogue: Catalogue
    names: Collection[str] = NODES
    settings: ServerSettings = field(
        default_factory=lambda: ServerSettings(round_timeout=30.0, startup_timeout=0.1)
    )

    def shard(self, node: str) -> ShardFolder:
        return ShardFolder(self.folder.node(node).shard)

    def agents(self) -> dict[str, Agent]:
        return {node: Agent(self.shard(node)) for node in self.names}

    def population(
        self, engine: LocalEngine, settings: ServerSettings | None = None
    ) -> RemoteClients:
        participants, settings = self.folder.server.participants, settings or self.settings
        if not participants.exists():
            heads = LedgerHeads(self.folder.server.ledger_heads)
            handshake(self.agreement, engine, settings, heads).write(participants)
        metrics = RunMetrics(
            self.folder.server.metrics, self.agreement.experiment.federation.rounds
        )
        return RemoteClients(
            self.agreement,
            self.catalogue,
            engine,
            settings,
            Participants.read(participants),
            metrics,
            LedgerHeads(self.folder.server.ledger_heads),
            Attempts(self.folder.server.attempts, Participants.read(participants).run),
        )

    def run(
        self, engine: LocalEngine, settings: ServerSettings | None = None, stop_after: int = 0
    ) -> Path:
        """Run, or go on; ``stop_after`` rounds the server dies."""
        population = self.population(engine, settings)
        out = self.folder.server.run
        steps = execute(
            self.agreement.experiment, out, resume=True, device="cpu", population=population
        )
        for number, _ in enumerate(steps, start=1):
            if number == stop_after:
                steps.close()
                break
        return out


def toy_values(**changes: Any) -> dict[str, Any]:
    values = copy.deepcopy(TOY)
    for table, change in changes.items():
        kind = values.setdefault(table, {}).get("kind")
        same = change.get("kind", kind) == kind
        values[table] = {**values[table], **change} if same else change
    return values


def federate(
    path: Path,
    values: dict[str, Any],
    spare: int = 0,
    lifetime: Lifetime | None = None,
    names: Collection[str] = NODES,
    min_users: int = 1,
    **settings: Any,
) -> Federation:
    """A try-out's folder; each node may give out ``spare`` client ids more than it needs."""
    folder = Deployment(path)
    documents = draft_tryout(build(values), len(names), folder, lifetime=lifetime)
    agreement = replace(documents.agreement, min_users=min_users)
    documents = documents._replace(agreement=agreement)
    if spare:
        nodes = [
            replace(node, first=node.first + index * spare, clients=node.clients + spare)
            for index, node in enumerate(agreement.nodes)
        ]
        documents = documents._replace(agreement=replace(agreement, nodes=tuple(nodes)))
    write(folder, documents, ServerSettings(**settings))
    for node in names:
        set_up_node(folder, node)
    return Federation(folder, *documents, names=names)
