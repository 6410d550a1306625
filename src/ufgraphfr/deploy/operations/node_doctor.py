"""What is right and what is not at a node: certificate, key, agreement, database, socket."""

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.operations import checks, processes
from ufgraphfr.deploy.operations.checks import Finding
from ufgraphfr.deploy.operations.folder import Deployment, NodeFolder
from ufgraphfr.deploy.wire import unix_socket

SERVER = "UFGRAPHFR_SERVER"
"""In a node's environment: where the server is."""
RENEW = "ask the server's operator for a new ca.crt, and start the SuperNode anew"


def examine(folder: ShardFolder) -> Iterator[Finding]:
    """Look at everything.

    Raises:
        InputError: the folder is no shard, or its agreement cannot be read.
    """
    name, agreement, _ = folder.signed()
    node = NodeFolder(folder.path.resolve().parent)
    yield Finding("node", name)
    yield from checks.versions()
    yield checks.clock(folder.agreement, folder.database, folder.audit, folder.ledger)
    yield authority(folder)
    made = node.key.exists()
    do = "" if made else "ufgraphfr agent --shard shard init, and send supernode.pub"
    yield Finding("key", f"{node.key} {'is here' if made else 'is missing'}", do)
    signed, unsigned = folder.is_signed, folder.unsigned()
    do = "" if signed else "read it, then ufgraphfr agent --shard shard agree DIGEST"
    said = f"{agreement.digest}, {'signed off' if signed else 'not signed off'}"
    if unsigned:
        said += f", and amendment {unsigned[-1].number} is not"
        do = "read it, then ufgraphfr agent --shard shard agree DIGEST"
    yield Finding("agreement", f"{said}; compare it with the server's", do)
    yield checks.disk(folder.path)
    yield _database(folder.database)
    yield _socket(folder.socket)
    try:
        if address := _address(node):
            yield checks.server(address, node.ca, RENEW)
    except PermissionError:
        yield checks.unreadable("server", node.environment)


def _address(node: NodeFolder) -> str:
    """Where the SuperNode looks for the server; empty in a folder of before, which does not say."""
    here = Deployment(node.path.parent.parent)
    if "superlink" in processes.read(here.processes):
        return f"localhost:{here.server.read_settings().port}"
    text = node.environment.read_text(encoding="utf-8") if node.environment.exists() else ""
    told = re.search(rf'^{SERVER}="?([^"\n]+)', text, re.MULTILINE)
    return told[1] if told else ""


def authority(folder: ShardFolder) -> Finding:
    """The certificate by which this node knows the server."""
    path, (_, agreement, _) = NodeFolder(folder.path.resolve().parent).ca, folder.signed()
    if agreement.authority and os.access(path, os.R_OK):
        here = hashlib.sha256(path.read_bytes()).hexdigest()
        if here != agreement.authority:
            said = f"is {here}, and {agreement.authority} was agreed on"
            return Finding(f"certificate {path.name}", said, RENEW)
    return checks.certificate(path, RENEW)


def _database(path: Path) -> Finding:
    """The file is whole and holds users; it is only read."""
    imports = "ufgraphfr agent --shard shard import TABLE"
    if not path.exists():
        return Finding("database", f"{path} is missing", imports)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            (whole,) = database.execute("PRAGMA quick_check(1)").fetchone()
            (users,) = database.execute("SELECT count(*) FROM users").fetchone()
    except sqlite3.Error as error:
        whole, users = str(error), 0
    if whole != "ok":
        return Finding(
            "database", f"{path}: {whole}", "end what locks it, or agree anew and import again"
        )
    return Finding("database", f"whole, {users:,} users", "" if users else imports)


def _socket(path: Path) -> Finding:
    """Whether the agent listens; connecting is the measure, and the file is none."""
    start = "start the agent's unit, or ufgraphfr agent --shard shard"
    try:
        runs = unix_socket.listens(path)
    except OSError as error:
        return Finding("socket", f"{path}: {os.strerror(error.errno or 0)}", "run as its group")
    return Finding(
        "socket", "the agent listens" if runs else "the agent does not run", "" if runs else start
    )
