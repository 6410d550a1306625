"""Who takes part in a run: client ids by node, fixed when it starts.

A resumed run must draw from the clients it began with, whoever is there at that moment.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.versions import Schema
from ufgraphfr.deploy.agreement.chain import Documents, read_documents
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.masked import is_masked
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.wire.message import Envelope, Malformed
from ufgraphfr.deploy.wire.payload import decode_arrays

SCHEMA = Schema("participants")


@dataclass(frozen=True)
class Participants:
    """The parties of one run.

    Attributes:
        run: its name, by which agents tell runs apart.
        clients: node to int64 ``[clients]``, ascending.
        interactions: how many they hold together, as far as nodes say so.
        agreement: digest of the document under which they began; empty before it was kept.
        left: nodes that have left since. Their clients are still drawn, as in the rounds before,
            and not asked.
        epochs: of their pads, see `ufgraphfr.deploy.agent.pad_book`; empty without secure sums.
    """

    run: str
    clients: dict[str, Tensor]
    interactions: int
    agreement: str = ""
    left: frozenset[str] = frozenset()
    epochs: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(agreement: Agreement, run: str, replies: dict[str, Envelope]) -> "Participants":
        """From the nodes' replies to the handshake.

        Raises:
            InputError: a node names clients that are not its own.
        """
        clients, interactions, epochs = {}, 0, {}
        for name, reply in sorted(replies.items()):
            node = agreement.node(name)
            try:
                (part,) = reply.parts
                ids = decode_arrays(part)["clients"]
            except (Malformed, ValueError, KeyError):
                raise InputError(f"{name} does not say which clients it has: see its log") from None
            valid = ids.dtype == torch.int64 and ids.dim() == 1 and len(ids) > 0
            inside = valid and bool(((ids >= node.first) & (ids < node.first + node.clients)).all())
            if not inside or bool((ids.diff() <= 0).any()):
                raise InputError(f"{name} names clients that are not its own: see its log")
            clients[name] = ids
            count = reply.facts.get("interactions", 0)
            interactions += count if type(count) is int and count >= 0 else 0
            if is_masked(agreement.experiment):
                epochs[name] = str(reply.facts.get("pads"))
                if not re.fullmatch("[0-9a-f]{64}", epochs[name]):
                    raise InputError(f"{name} does not say which pads it has: see its log")
        return Participants(run, clients, interactions, agreement.digest, epochs=epochs)

    def under(self, agreement: Agreement) -> "Participants":
        """The same, without asking those who have left since."""
        left = self.clients.keys() - {node.name for node in agreement.nodes}
        return replace(self, left=frozenset(left))

    @property
    def asked(self) -> dict[str, Tensor]:
        """The clients of the nodes that have not left."""
        return {node: ids for node, ids in self.clients.items() if node not in self.left}

    def by_node(self, cohort: Tensor, least: int = 1) -> dict[str, Tensor]:
        """The clients of a cohort by node; nodes with fewer than ``least`` are left out."""
        parts = {node: cohort[torch.isin(cohort, ids)] for node, ids in self.asked.items()}
        return {node: part for node, part in parts.items() if len(part) >= least}

    def write(self, path: Path) -> None:
        """Write them as JSON."""
        clients = {node: ids.tolist() for node, ids in self.clients.items()}
        facts = {"run": self.run, "clients": clients, "interactions": self.interactions}
        facts["agreement"] = self.agreement
        if self.epochs:
            facts["epochs"] = dict(self.epochs)
        write_atomically(path, json.dumps(SCHEMA.write(facts)).encode())

    @staticmethod
    def read(path: Path) -> "Participants":
        """What `write` wrote.

        Raises:
            InputError: a newer release wrote it.
        """
        facts = SCHEMA.read(json.loads(path.read_text(encoding="utf-8")), path)
        clients = {node: torch.tensor(ids) for node, ids in facts["clients"].items()}
        agreement = facts.get("agreement", "")
        epochs = facts.get("epochs", {})
        return Participants(facts["run"], clients, facts["interactions"], agreement, epochs=epochs)


def documents_of_run(folder: ServerFolder) -> Documents:
    """The agreement and the catalogue of a server's run, whatever was amended since.

    Raises:
        InputError: a file cannot be read, or is not the one that was agreed on.
    """
    there = folder.participants.exists()
    until = Participants.read(folder.participants).agreement if there else ""
    return read_documents(folder.agreement, folder.catalogue, until or None)
