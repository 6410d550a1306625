"""What is right and what is not at the coordinator: certificate, ports, agreement, nodes, run."""

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agreement.chain import read_agreement, read_documents
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.operations import checks
from ufgraphfr.deploy.operations.checks import Finding
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.liveness import UNDER_WAY, WAITING, dead
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.settings import ServerSettings

RENEW = (
    "ufgraphfr deploy renew makes the server's anew, with authority/ca.key; if ca.crt itself ends, "
    "ufgraphfr deploy amend --new-authority"
)
START = "start the superlink unit, or ufgraphfr deploy up --loopback; then ufgraphfr deploy start"


def examine(folder: Deployment) -> Iterator[Finding]:
    """Look at everything.

    Raises:
        InputError: the folder is no deployment.
    """
    server, settings = folder.server, folder.server.read_settings()
    yield from checks.versions()
    yield checks.clock(server.settings, server.metrics, server.run / "metrics.jsonl")
    yield from certificates(folder, settings)
    yield checks.disk(server.path)
    yield _port(server.tls / "ca.crt", settings.port, read_metrics(server.metrics).get("state", ""))
    try:
        agreement = read_documents(server.agreement, server.catalogue)[0]
    except InputError as error:
        yield Finding("agreement", str(error), "put back the documents that everybody signed off")
        return
    yield Finding("agreement", agreement.digest)
    yield from _nodes(folder, agreement)
    yield _run(folder, settings)


def certificates(folder: Deployment, settings: ServerSettings) -> Iterator[Finding]:
    """The server's certificate, and its authority's."""
    tls = folder.server.tls
    yield checks.certificate(tls / "server.crt", RENEW, settings.host)
    yield checks.certificate(tls / "ca.crt", RENEW)


def _port(ca: Path, port: int, state: str) -> Finding:
    """Whether our SuperLink answers at its port: by its certificate, not by its number."""
    what = f"port {port}"
    try:
        context = ssl.create_default_context(cafile=ca)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5.0) as plain,
            context.wrap_socket(plain, server_hostname="localhost"),
        ):
            return Finding(what, "the server of this deployment answers")
    except ConnectionRefusedError:
        do = START if state in WAITING else ""
        return Finding(what, "free: the server does not run", do)
    except OSError as error:
        return Finding(
            what,
            f"something else listens there, or its certificate is another ({error})",
            "end what listens there, or name another port in server/server.toml",
        )


def _nodes(folder: Deployment, agreement: Agreement) -> Iterator[Finding]:
    """Who is missing, and why, as far as the server knows."""
    from ufgraphfr.deploy.operations.certificates import fingerprint

    registered, known = folder.server.read_nodes(), folder.server.read_keys()
    values = read_metrics(folder.server.metrics)
    missed, unpublished = values.get("missed_by_node", {}), values.get("unpublished", [])
    for name in (node.name for node in agreement.nodes):
        own = folder.node(name)
        try:
            own_key = fingerprint(own.public_key)
        except InputError as error:
            yield Finding(name, str(error), "get supernode.pub from its operator")
            continue
        key, here = f"key {own_key}", own.shard / "agreement.toml"
        # it is here on the coordinator's machine, and the server's account need not see it
        if os.access(here, os.R_OK) and (digest := _digest(here)) != agreement.digest:
            do = "give it the server's, amendments too"
            yield Finding(name, f"holds the agreement {digest}", do)
            continue
        if name in registered and known.get(name, own_key) != own_key:
            do = "ufgraphfr deploy start registers this one in its place"
            yield Finding(name, f"{key}, registered is {known[name]}", do)
            continue
        said, do = key + (", registered" if name in registered else ", not registered"), ""
        if name not in registered and values.get("state") in UNDER_WAY:
            do = "ufgraphfr deploy start registers it"
        if count := missed.get(name, 0):
            said += f", {count:,} requests without a usable reply"
            if reason := values.get("reason_by_node", {}).get(name):
                said += f", the last: {reason}"
            do = "ask its operator for: ufgraphfr agent --shard shard doctor"
        if name in unpublished:
            said += f", lacks release {values.get('release')}"
            do = "see that SuperNode and agent run there, then ufgraphfr deploy publish"
        yield Finding(name, said, do)


def _digest(path: Path) -> str:
    try:
        return read_agreement(path).digest
    except InputError as error:
        return f"that cannot be read ({error})"


def _run(folder: Deployment, settings: ServerSettings) -> Finding:
    """The run, by a state that is measured."""
    if problem := dead(folder.server, settings.startup_timeout):
        return Finding("run", *problem)
    values = read_metrics(folder.server.metrics)
    state = values.get("state", "none has begun")
    well = (*WAITING, "finished", "none has begun")
    do = "" if state in well else "once its cause is gone, ufgraphfr deploy start goes on with it"
    return Finding("run", f"{state}, round {values.get('rounds', 0)}", do)
