"""The folder of a deployment, as `deploy init` writes it."""

from pathlib import Path

from ufgraphfr.deploy.server.folder import ServerFolder


class NodeFolder:
    """What one node's host holds."""

    def __init__(self, path: Path) -> None:
        """Names the folder; the agent's part is `agent.folder.ShardFolder`."""
        self.path = path
        self.shard = path / "shard"
        # the SuperNode's private key, made here and never elsewhere, and the public half, which
        # the server registers
        self.key, self.public_key = path / "supernode.key", path / "supernode.pub"
        # the certificate by which the server is known
        self.ca = path / "ca.crt"
        # tables of a try-out, to be imported
        self.samples = path / "import"
        # Flower's own folder
        self.home = path / "flwr"
        # of SuperNode and agent
        self.environment = path / "node.env"


class Deployment:
    """The whole deployment, as on the machine where it was made."""

    def __init__(self, path: Path) -> None:
        """Names the folder."""
        self.path = path
        self.server = ServerFolder(path / "server")
        # signs the server's certificate; of no use to the server
        self.authority = path / "authority" / "ca.key"
        # one that an amendment is about to name
        self.next_authority = path / "authority.next"
        # the processes that `deploy up` started here, and their logs
        self.processes, self.logs = path / "processes.json", path / "logs"

    def node(self, name: str) -> NodeFolder:
        """A node's part."""
        return NodeFolder(self.path / "nodes" / name)
