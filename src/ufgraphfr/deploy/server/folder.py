"""The folder of a deployment's server."""

import json
import tomllib
from pathlib import Path
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.spec import parse
from ufgraphfr.core.versions import Schema
from ufgraphfr.deploy.server.settings import ServerSettings

NODES = Schema("nodes", (lambda old: {"nodes": old},))


class ServerFolder:
    """What the server's host holds."""

    def __init__(self, path: Path) -> None:
        """Names the folder."""
        self.path = path
        # what everybody agreed to, and the public items
        self.agreement, self.catalogue = path / "agreement.toml", path / "catalogue.json"
        # timeouts, quorum and ports, see `ServerSettings`
        self.settings = path / "server.toml"
        # the engine's ids of the nodes, by name
        self.registered = path / "nodes.json"
        # what the nodes' ledgers said last
        self.ledger_heads = path / "ledger_heads.json"
        # which attempt at a round of secure sums is asked for
        self.attempts = path / "attempts.json"
        # releases of the model
        self.releases = path / "releases"
        # the release that the run goes on from, and the runs before it by the release they made
        self.continues, self.runs = path / "continues.json", path / "runs"
        # locked by the process of the run while it lives, and there when it should pause, or stop
        self.alive, self.pause, self.stop = path / "alive.lock", path / "pause", path / "stop"
        # there if the run's model is published only if it does better than the last release
        self.if_better = path / "if_better"
        # the run folder
        self.run = path / "run"
        # Flower's own folder, and the app it is given: names of our modules, no code
        self.home, self.app = path / "flwr", path / "app"
        # certificates
        self.tls = path / "tls"

    @property
    def participants(self) -> Path:
        """Who takes part in the run."""
        return self._now_or_before("participants.json", "roster.json")

    @property
    def metrics(self) -> Path:
        """The counters of the run."""
        return self._now_or_before("metrics.json", "tally.json")

    def read_settings(self) -> ServerSettings:
        """The server's settings.

        Raises:
            InputError: the file is missing or wrong.
        """
        try:
            values = tomllib.loads(self.settings.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise InputError(
                f"cannot read {self.settings} ({error}): name a folder that deploy init wrote"
            ) from None
        return parse(ServerSettings, values, self.settings.name)

    def read_nodes(self) -> dict[str, int]:
        """The engine's id of each registered node, by name."""
        nodes: dict[str, int] = self._registered()["nodes"]
        return nodes

    def read_keys(self) -> dict[str, str]:
        """The fingerprint of the key that each node was registered with, as far as it was kept."""
        keys: dict[str, str] = self._registered().get("keys", {})
        return keys

    def write_nodes(self, nodes: dict[str, int], keys: dict[str, str]) -> None:
        """Keep what `read_nodes` and `read_keys` read."""
        document = NODES.write(
            {"nodes": nodes, "keys": {name: keys[name] for name in nodes if name in keys}}
        )
        write_atomically(self.registered, json.dumps(document).encode())

    def _registered(self) -> dict[str, Any]:
        if not self.registered.exists():
            return {"nodes": {}}
        document = json.loads(self.registered.read_text(encoding="utf-8"))
        return NODES.read(document, self.registered)

    def _now_or_before(self, name: str, before: str) -> Path:
        """A file, by the name that the release before gave it if it is there."""
        path = self.path / before
        return path if path.exists() else self.path / name
