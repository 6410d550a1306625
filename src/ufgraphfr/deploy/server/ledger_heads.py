"""The heads of the nodes' ledgers as they last came: a ledger that goes back was restored.

A node is told with each request what its ledger said before, and refuses by itself if it lacks
that; see `ufgraphfr.deploy.agent.shard`. A node that does not is refused here.
"""

import json
import re
from pathlib import Path
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.versions import Schema
from ufgraphfr.deploy.wire.message import Malformed

SCHEMA = Schema("ledger-heads")


class LedgerHeads:
    """The last head of each node's ledger, in a file."""

    def __init__(self, path: Path) -> None:
        """Reads what is there.

        Raises:
            InputError: a newer release wrote it.
        """
        self._path = path
        self._heads: dict[str, dict[str, Any]] = {}
        if path.exists():
            self._heads = SCHEMA.read(json.loads(path.read_text(encoding="utf-8")), path)["heads"]

    def facts(self, node: str) -> dict[str, Any]:
        """What a request to a node says of its ledger."""
        return {"ledger": self._heads[node]} if node in self._heads else {}

    def readmit(self, node: str) -> None:
        """Forget what a node's ledger said: its operator restored it, and charged for all since.

        Raises:
            InputError: nothing is known of it.
        """
        if self._heads.pop(node, None) is None:
            known = ", ".join(sorted(self._heads)) or "no node"
            raise InputError(f"nothing is known of the ledger of '{node}', but of {known}")
        self._write()

    def keep(self, node: str, head: Any) -> None:
        """Keep the head in a reply, before the reply is used.

        Args:
            node: it came from.
            head: `Ledger.head` as it came; None where nothing is paid for.

        Raises:
            Malformed: it is none, or older than the one before.
        """
        before = self._heads.get(node)
        if head == before:
            return
        if not (
            isinstance(head, dict)
            and head.keys() == {"entries", "sha256"}
            and type(head["entries"]) is int
            and re.fullmatch("[0-9a-f]{64}", str(head["sha256"]))
        ):
            raise Malformed("the reply does not say what its ledger holds")
        if before is not None and head["entries"] <= before["entries"]:
            raise Malformed(
                f"its ledger went back, from {before['entries']} entries to {head['entries']}: its "
                f"folder was restored from a copy; its operator puts one in place with agent "
                f"restore, and deploy readmit takes it back"
            )
        self._heads[node] = head
        self._write()

    def _write(self) -> None:
        write_atomically(self._path, json.dumps(SCHEMA.write({"heads": self._heads})).encode())
