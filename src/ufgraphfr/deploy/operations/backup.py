"""A copy of a deployment's server, and what a server that was restored from one may still do."""

from pathlib import Path

from ufgraphfr.core.archives import read_archive, write_archive
from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agreement.chain import folder_of, read_agreement
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.liveness import under_way

SETTINGS = "server/server.toml"


def back_up(folder: Deployment, file: Path) -> None:
    """Write a copy of what the server's host holds, between two rounds.

    The authority's key is not in it, nor anything of the engine but its settings.

    Raises:
        InputError: a run is under way, the folder is no deployment, or the file cannot be written.
    """
    server = folder.server
    server.read_settings()
    if under_way(server):
        raise InputError(
            f"a run is under way in {server.path}: pause it first (ufgraphfr deploy pause), so "
            f"that the copy is of one moment"
        )
    inside = [server.agreement, folder_of(server.agreement), server.catalogue, server.settings]
    inside += [server.registered, server.ledger_heads, server.releases, server.continues]
    inside += [server.attempts]
    inside += [server.participants, server.metrics, server.run, server.runs, server.tls, server.app]
    inside += [server.home / "config.toml", server.path / "server.env"]
    inside += [folder.path / name for name in ("agreement.toml", "amendments", "README.md")]
    inside += [folder.path / name for name in ("systemd", "compose", "nginx")]
    names = [node.name for node in read_agreement(server.agreement).nodes]
    inside += [folder.node(name).public_key for name in names]
    write_archive(file, {str(path.relative_to(folder.path)): path for path in inside})


def restore(folder: Deployment, file: Path) -> list[str]:
    """Put a copy of a server in place.

    Args:
        folder: without a server.
        file: that `back_up` wrote.

    Returns:
        What to do next, for people.

    Raises:
        InputError: a server is there, or the copy is none.
    """
    if folder.server.path.exists():
        raise InputError(
            f"{folder.server.path} is there already: move it away before a copy comes there"
        )
    folder.path.mkdir(parents=True, exist_ok=True)
    read_archive(file, folder.path, SETTINGS)
    return [
        "start the superlink unit, then ufgraphfr deploy start: it registers the nodes' keys, and "
        "a run that was paused goes on",
        "rounds that were finished after this copy are not repeated by agents: if they refuse the "
        "run as settled, restore a later copy",
        "authority/ca.key is in no copy: put it back from where you keep it, for deploy renew",
    ]
