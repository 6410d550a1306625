"""The folder of a deployment's server."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.spec import parse
from ufgraphfr.core.versions import Schema
from ufgraphfr.deploy.server.settings import ServerSettings

NODES = Schema("nodes", (lambda old: {"nodes": old},))


@dataclass(frozen=True)
class ServerFolder:
    """What the server's host holds."""

    path: Path

    @property
    def agreement(self) -> Path:
        """What everybody agreed to."""
        return self.path / "agreement.toml"

    @property
    def catalogue(self) -> Path:
        """The public items."""
        return self.path / "catalogue.json"

    @property
    def settings(self) -> Path:
        """Timeouts, quorum and ports; see `ServerSettings`."""
        return self.path / "server.toml"

    @property
    def registered(self) -> Path:
        """The engine's ids of the nodes, by name."""
        return self.path / "nodes.json"

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.path / "run"

    @property
    def participants(self) -> Path:
        """Who takes part in the run."""
        return self._now_or_before("participants.json", "roster.json")

    @property
    def metrics(self) -> Path:
        """The counters of the run."""
        return self._now_or_before("metrics.json", "tally.json")

    @property
    def home(self) -> Path:
        """Flower's own folder."""
        return self.path / "flwr"

    @property
    def app(self) -> Path:
        """The app that Flower is given: names of our modules, no code."""
        return self.path / "app"

    @property
    def tls(self) -> Path:
        """Certificates."""
        return self.path / "tls"

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
        if not self.registered.exists():
            return {}
        document = json.loads(self.registered.read_text(encoding="utf-8"))
        nodes: dict[str, int] = NODES.read(document, self.registered)["nodes"]
        return nodes

    def write_nodes(self, nodes: dict[str, int]) -> None:
        """Keep what `read_nodes` reads."""
        write_atomically(self.registered, json.dumps(NODES.write({"nodes": nodes})).encode())

    def _now_or_before(self, name: str, before: str) -> Path:
        """A file, by the name that the release before gave it if it is there."""
        path = self.path / before
        return path if path.exists() else self.path / name
