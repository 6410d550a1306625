"""Writes the folder of a deployment: agreement, certificates, keys, units, proxy, instructions."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import tomli_w

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.export import export_users
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.deploy.agent.shard import ShardFolder
from ufgraphfr.deploy.agreement.document import NO_FILE, Agreement, Node, Sums, make
from ufgraphfr.deploy.operations.certificates import write_authority, write_node_key
from ufgraphfr.deploy.operations.commands import BIN, Commands
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.settings import Terms
from ufgraphfr.experiment.config import Experiment


@dataclass(frozen=True)
class Plan:
    """What a deployment is made of.

    Attributes:
        agreement: what everybody agrees to.
        catalogue: the public items.
    """

    agreement: Agreement
    catalogue: Catalogue


def plan_tryout(
    experiment: Experiment, nodes: int, folder: Deployment, data_dir: Path | None = None
) -> Plan:
    """Divide the users of the experiment's data set among nodes; their tables are written too.

    Raises:
        InputError: the data set cannot be loaded, or has fewer users than nodes.
    """
    dataset = experiment.located_source(data_dir).load(data_dir)
    users = dataset.interactions.n_users
    if not 1 <= nodes <= users:
        raise InputError(f"--nodes {nodes}: {users:,} users can be divided among 1 to {users:,}")
    starts = [-(-users * place // nodes) for place in range(nodes + 1)]
    parts = tuple(
        Node(_name(place), starts[place], starts[place + 1] - starts[place])
        for place in range(nodes)
    )
    for node in parts:
        export_users(dataset, node.first, node.clients, folder.node(node.name).samples)
    sentences = TableSource(
        interactions=NO_FILE,
        users=NO_FILE,
        template="{text}",
        sequential=dataset.card.sequential,
    )
    return Plan(make(experiment, dataset.catalogue.digest, parts, sentences), dataset.catalogue)


def plan(
    experiment: Experiment,
    nodes: int,
    users_per_node: int,
    smallest: int,
    metrics: Sums | None = None,
    data_dir: Path | None = None,
) -> Plan:
    """A deployment for data that only their holders have.

    Args:
        experiment: what is run.
        nodes: how many data holders.
        users_per_node: most users of each.
        smallest: users whose sum may leave a node.
        metrics: whether sums of metrics may leave; None lets them unless there is a guarantee.
        data_dir: where the file of items lies.

    Raises:
        InputError: the experiment does not say what the items are.
    """
    source = experiment.located_source(data_dir)
    if not isinstance(source, TableSource) or not source.items:
        raise InputError(
            '[data] must be kind = "table" with a file of all items, items = "..." (or --try-out '
            "divides a data set among the nodes)"
        )
    catalogue = source.catalogue(data_dir)
    parts = tuple(
        Node(_name(place), place * users_per_node, users_per_node) for place in range(nodes)
    )
    table = source.model_copy(update={"interactions": NO_FILE, "items": "", "users": ""})
    guarded = experiment.mechanism.budget(nodes * users_per_node) is not None
    leave: Sums = metrics or ("none" if guarded else "sums")
    return Plan(make(experiment, catalogue.digest, parts, table, smallest, leave), catalogue)


def write(folder: Deployment, made: Plan, terms: Terms) -> None:
    """Write everything.

    Raises:
        InputError: there is a deployment already.
    """
    server, agreement = folder.server, made.agreement
    if server.path.exists():
        raise InputError(f"{folder.path} holds a deployment already: name another folder")
    write_authority(server.tls, terms.host)
    agreement.write(server.agreement)
    agreement.write(folder.path / "agreement.toml")
    made.catalogue.write(server.catalogue)
    write_atomically(server.settings, tomli_w.dumps(terms.model_dump()).encode())
    for node in agreement.nodes:
        own = folder.node(node.name)
        shard = ShardFolder(own.shard)
        write_node_key(own.key, own.public_key)
        write_atomically(own.ca, (server.tls / "ca.crt").read_bytes())
        agreement.write(shard.agreement)
        made.catalogue.write(shard.catalogue)
        write_atomically(shard.node, f"{node.name}\n".encode())
        own.shard.chmod(0o710)
        # a unit that may write to a folder which is not there does not start
        own.home.mkdir()
    _write_texts(folder, agreement, terms)


def _write_texts(folder: Deployment, agreement: Agreement, terms: Terms) -> None:
    """Units, environments, proxy, app and instructions, from their templates."""
    commands, server = Commands(folder, terms), folder.server
    facts = {
        "server": server.path.resolve(),
        "port": terms.port,
        "public_port": terms.public_port,
        "host": terms.host,
        "threads": 1,
        "bin": BIN,
        "nodes": len(agreement.nodes),
        "digest": agreement.digest,
        "superlink": _line(commands.superlink()),
    }
    written = {
        "pyproject.toml": server.app / "pyproject.toml",
        "flower.toml": server.home / "config.toml",
        "server.env": server.path / "server.env",
        "superlink.service": folder.path / "systemd" / "ufgraphfr-superlink.service",
        "nginx.conf": folder.path / "nginx" / "ufgraphfr.conf",
        "README.md": folder.path / "README.md",
    }
    for name, path in written.items():
        write_atomically(path, _filled(name, facts))
    address = f"{terms.host}:{terms.public_port}"
    for node in agreement.nodes:
        own = folder.node(node.name).path
        mine = facts | {
            "name": node.name,
            "node": own.resolve(),
            "supernode": _line(commands.supernode(node.name, address, terms.node_port)),
        }
        write_atomically(own / "node.env", _filled("node.env", mine))
        for kind in ("supernode", "agent"):
            unit = folder.path / "systemd" / f"ufgraphfr-{kind}-{node.name}.service"
            write_atomically(unit, _filled(f"{kind}.service", mine))


def _filled(name: str, facts: dict[str, object]) -> bytes:
    text = (files("ufgraphfr.deploy.operations") / "templates" / f"{name}.in").read_text(
        encoding="utf-8"
    )
    return Template(text).substitute(facts).encode()


def _line(words: Sequence[str]) -> str:
    return shlex.join(words)


def _name(place: int) -> str:
    return f"node-{place + 1}"
