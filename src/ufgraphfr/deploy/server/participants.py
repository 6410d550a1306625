"""Who takes part in a run: client numbers by node, fixed when it starts.

A resumed run must draw from the clients it began with, whoever is there at that moment.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.wire.message import Envelope, Malformed
from ufgraphfr.deploy.wire.payload import decode_arrays


@dataclass(frozen=True)
class Roster:
    """The parties of one run.

    Attributes:
        run: its name, by which agents tell runs apart.
        clients: node to int64 ``[clients]``, ascending.
        interactions: how many they hold together, as far as nodes say so.
    """

    run: str
    clients: dict[str, Tensor]
    interactions: int

    @staticmethod
    def of(agreement: Agreement, run: str, replies: dict[str, Envelope]) -> "Roster":
        """From the nodes' answers to a greeting.

        Raises:
            InputError: a node names clients that are not its own.
        """
        clients, interactions = {}, 0
        for name, reply in sorted(replies.items()):
            node = agreement.node(name)
            try:
                (part,) = reply.parts
                numbers = decode_arrays(part)["clients"]
            except (Malformed, ValueError, KeyError):
                raise InputError(f"{name} does not say who is there: look at its log") from None
            whole = numbers.dtype == torch.int64 and numbers.dim() == 1 and len(numbers) > 0
            inside = whole and bool(
                ((numbers >= node.first) & (numbers < node.first + node.clients)).all()
            )
            if not inside or bool((numbers.diff() <= 0).any()):
                raise InputError(f"{name} names clients that are not its own: look at its log")
            clients[name] = numbers
            said = reply.facts.get("interactions", 0)
            interactions += said if type(said) is int and said >= 0 else 0
        return Roster(run, clients, interactions)

    def owned(self, cohort: Tensor) -> dict[str, Tensor]:
        """The clients of a cohort by node; nodes without any are left out."""
        parts = {node: cohort[torch.isin(cohort, own)] for node, own in self.clients.items()}
        return {node: part for node, part in parts.items() if len(part)}

    def write(self, path: Path) -> None:
        """Write the roster as JSON."""
        clients = {node: numbers.tolist() for node, numbers in self.clients.items()}
        facts = {"run": self.run, "clients": clients, "interactions": self.interactions}
        write_atomically(path, json.dumps(facts).encode())

    @staticmethod
    def read(path: Path) -> "Roster":
        """A roster that `write` wrote."""
        facts = json.loads(path.read_text(encoding="utf-8"))
        clients = {node: torch.tensor(own) for node, own in facts["clients"].items()}
        return Roster(facts["run"], clients, facts["interactions"])
