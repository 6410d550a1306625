"""The folder of a deployment, as `deploy init` writes it."""

from dataclasses import dataclass
from pathlib import Path

from ufgraphfr.deploy.server.folder import ServerFolder


@dataclass(frozen=True)
class NodeFolder:
    """What one node's host holds."""

    path: Path

    @property
    def shard(self) -> Path:
        """The agent's part; see `agent.shard.ShardFolder`."""
        return self.path / "shard"

    @property
    def key(self) -> Path:
        """The SuperNode's private key."""
        return self.path / "supernode.key"

    @property
    def public_key(self) -> Path:
        """Its public half, which the server registers."""
        return self.path / "supernode.pub"

    @property
    def ca(self) -> Path:
        """The certificate by which the server is known."""
        return self.path / "ca.crt"

    @property
    def samples(self) -> Path:
        """Tables of a try-out, to be imported."""
        return self.path / "import"

    @property
    def home(self) -> Path:
        """Flower's own folder."""
        return self.path / "flwr"


@dataclass(frozen=True)
class Deployment:
    """The whole deployment, as on the machine where it was made."""

    path: Path

    @property
    def server(self) -> ServerFolder:
        """The server's part."""
        return ServerFolder(self.path / "server")

    def node(self, name: str) -> NodeFolder:
        """A node's part."""
        return NodeFolder(self.path / "nodes" / name)

    @property
    def processes(self) -> Path:
        """The processes that `deploy up` started here."""
        return self.path / "processes.json"

    @property
    def logs(self) -> Path:
        """Their logs."""
        return self.path / "logs"
