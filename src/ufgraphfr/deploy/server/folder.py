"""The folder of a deployment's server."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.spec import parse
from ufgraphfr.deploy.server.settings import Terms


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
        """Deadline, quorum and ports; see `Terms`."""
        return self.path / "server.toml"

    @property
    def registered(self) -> Path:
        """The engine's numbers of the nodes, by name."""
        return self.path / "nodes.json"

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.path / "run"

    @property
    def roster(self) -> Path:
        """Who takes part in the run."""
        return self.path / "roster.json"

    @property
    def tally(self) -> Path:
        """The counters of the run."""
        return self.path / "tally.json"

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

    def terms(self) -> Terms:
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
        return parse(Terms, values, self.settings.name)

    def nodes(self) -> dict[int, str]:
        """The engine's number of each registered node, to its name."""
        if not self.registered.exists():
            return {}
        found = json.loads(self.registered.read_text(encoding="utf-8"))
        return {int(number): name for name, number in found.items()}
