"""Writes the folder of a deployment: agreement, certificates, units, proxy, instructions."""

import shlex
from dataclasses import replace
from pathlib import Path

import tomli_w

from ufgraphfr.core.derived import DataFacts
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.export import export_users
from ufgraphfr.data.facts import facts_of
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agreement.chain import Documents
from ufgraphfr.deploy.agreement.document import NO_FILE, Agreement, MetricsPolicy, make
from ufgraphfr.deploy.agreement.lifetime import Lifetime
from ufgraphfr.deploy.agreement.masked import is_masked
from ufgraphfr.deploy.agreement.node import Node
from ufgraphfr.deploy.operations.certificates import write_authority
from ufgraphfr.deploy.operations.commands import BIN, Commands
from ufgraphfr.deploy.operations.containers import write_node_compose, write_server_compose
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.pad_keys import make_pad_keys, read_pad_keys
from ufgraphfr.deploy.operations.texts import filled
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.derive import derive

ASSUMED = 40
"""Interactions of a user, where only their holders know how many there are."""
_UNQUOTABLE = frozenset("\"'\\$`")


def draft_tryout(
    experiment: Experiment,
    nodes: int,
    folder: Deployment,
    data_dir: Path | None = None,
    metrics: MetricsPolicy | None = None,
    lifetime: Lifetime | None = None,
) -> Documents:
    """Divide the users of the experiment's data set among nodes, and write each node's tables.

    Raises:
        InputError: the data set cannot be loaded, or has fewer users than nodes.
    """
    dataset = experiment.located_source(data_dir).load(data_dir)
    users = dataset.interactions.n_users
    if not 1 <= nodes <= users:
        raise InputError(f"--nodes {nodes}: {users:,} users can be divided among 1 to {users:,}")
    starts = [-(-users * index // nodes) for index in range(nodes + 1)]
    members = tuple(
        Node(_name(index), starts[index], starts[index + 1] - starts[index])
        for index in range(nodes)
    )
    names = [node.name for node in members]
    for node in members:
        export_users(dataset, node.first, node.clients, folder.node(node.name).samples)
    table = TableSource(
        interactions=NO_FILE,
        users=NO_FILE,
        template="{text}",
        sequential=dataset.card.sequential,
        file_order=True,
    )
    agreement = make(
        experiment,
        dataset.catalogue.digest,
        members,
        table,
        metrics=metrics or "sums",
        expected_users=users,
        lifetime=lifetime,
        # a try-out is on one machine, so each node's key may be made here
        pad_keys=make_pad_keys(folder, names) if is_masked(experiment) else {},
    )
    return _settled(agreement, dataset.catalogue, facts_of(dataset.interactions, users))


def draft(
    experiment: Experiment,
    nodes: int,
    users_per_node: int,
    min_users: int,
    metrics: MetricsPolicy | None = None,
    data_dir: Path | None = None,
    expected_users: int | None = None,
    lifetime: Lifetime | None = None,
    pad_keys: Path | None = None,
) -> Documents:
    """A deployment for data that only their holders have.

    Args:
        experiment: what is run.
        nodes: how many data holders.
        users_per_node: most users of each.
        min_users: users whose sum may leave a node.
        metrics: whether sums of metrics may leave; None lets them unless there is a guarantee.
        data_dir: folder of the file of items.
        expected_users: how many all nodes have together; None counts on ``min_users`` at each,
            below which nothing leaves a node.
        lifetime: what all runs may spend on one person; None covers one run alone.
        pad_keys: folder of the public halves of nodes' pad keys, ``node-1.pad`` and so on; needed
            for secure sums alone.

    Raises:
        InputError: the experiment does not say what the items are, or more users are expected
            than there are ids.
    """
    source = _source(experiment, data_dir)
    catalogue = source.catalogue(data_dir)
    members = tuple(
        Node(_name(index), index * users_per_node, users_per_node) for index in range(nodes)
    )
    metrics = metrics or _policy(experiment, nodes * users_per_node)
    expected = nodes * min_users if expected_users is None else expected_users
    if expected > (most := nodes * users_per_node):
        raise InputError(
            f"{expected:,} users are expected of {nodes} nodes, which may have {most:,}: raise "
            f"--users, or lower --expected-users or --min-users"
        )
    table = _agreed_table(source)
    keys = {} if pad_keys is None else read_pad_keys(pad_keys, [node.name for node in members])
    given = experiment, catalogue.digest, members, table, min_users, metrics, expected, lifetime
    agreement = make(*given, pad_keys=keys)
    size = expected, len(catalogue.items), expected * ASSUMED
    facts = DataFacts(*size, assumed=True, dated=bool(table.sequential))
    documents = _settled(agreement, catalogue, facts)
    _check_draw(documents.agreement, expected_users)
    return documents


def _check_draw(agreement: Agreement, users: int | None) -> None:
    """Check that a round draws enough users for one node at least.

    Raises:
        InputError: it cannot.
    """
    spec, least = agreement.experiment.federation, agreement.min_users
    if spec.cohort_is_share and users is None:
        # a share of nobody knows how many
        return
    drawn = spec.expected(agreement.clients if users is None else users)
    if drawn < least:
        raise InputError(
            f"[federation] cohort: a round draws {drawn:,.0f} users of all nodes, and no node adds "
            f"up fewer than --min-users {least:,}: draw more, or lower --min-users"
        )


def _source(experiment: Experiment, data_dir: Path | None) -> TableSource:
    source = experiment.located_source(data_dir)
    if not isinstance(source, TableSource) or not source.items:
        raise InputError(
            '[data] must be kind = "table" with a file of all items, items = "..." (or --try-out '
            "divides a data set among the nodes)"
        )
    return source


def _policy(experiment: Experiment, clients: int) -> MetricsPolicy:
    """Sums without noise of each node leave where nothing else is hidden from the server."""
    hidden = experiment.mechanism.budget(clients) is not None or is_masked(experiment)
    return "none" if hidden else "sums"


def _agreed_table(source: TableSource) -> TableSource:
    """What the holders' files cannot be asked for is agreed on."""
    agreed = {
        "interactions": NO_FILE,
        "items": "",
        "items_from": "auto",
        "users": "",
        "sequential": bool(source.sequential),
    }
    return source.model_copy(update=agreed)


def _settled(agreement: Agreement, catalogue: Catalogue, facts: DataFacts) -> Documents:
    """What is agreed on leaves nothing open."""
    setting = agreement.setting(catalogue, embed_titles=False)
    experiment = derive(agreement.experiment, facts, setting)
    return Documents(replace(agreement, experiment=experiment), catalogue)


def write(folder: Deployment, documents: Documents, settings: ServerSettings) -> None:
    """Write everything.

    Raises:
        InputError: there is a deployment already, or units cannot name the folder.
    """
    server, (agreement, catalogue) = folder.server, documents
    if server.path.exists():
        raise InputError(f"{folder.path} holds a deployment already: name another folder")
    _check_paths(folder.path.resolve(), BIN)
    last = settings.node_port + len(agreement.nodes) - 1
    if last > 65535:
        raise InputError(f"node_port {settings.node_port}: the last node would get {last}")
    write_authority(server.tls, folder.authority, settings.host)
    agreement.write(server.agreement)
    agreement.write(folder.path / "agreement.toml")
    catalogue.write(server.catalogue)
    write_atomically(server.settings, tomli_w.dumps(settings.model_dump()).encode())
    for node in agreement.nodes:
        write_node(folder, node.name)
    _write_texts(folder, agreement, settings)


def write_node(folder: Deployment, name: str) -> None:
    """The folder that goes to a node's host, from what is agreed on."""
    node, server = folder.node(name), folder.server
    shard = ShardFolder(node.shard)
    # SuperNode and agent are two accounts, and both read it
    write_atomically(node.ca, (server.tls / "ca.crt").read_bytes(), public=True)
    write_atomically(shard.agreement, server.agreement.read_bytes())
    write_atomically(shard.catalogue, server.catalogue.read_bytes())
    write_atomically(shard.node, f"{name}\n".encode())
    node.shard.chmod(0o710)
    # a unit does not start if a folder that it may write to is missing
    node.home.mkdir()


def _write_texts(folder: Deployment, agreement: Agreement, settings: ServerSettings) -> None:
    """Units, environments, proxy, app and instructions, from their templates."""
    commands, server = Commands(folder, settings), folder.server
    facts = {
        "server": server.path.resolve(),
        "port": settings.port,
        "public_port": settings.public_port,
        "host": settings.host,
        "threads": 1,
        "bin": BIN,
        "nodes": len(agreement.nodes),
        "digest": agreement.digest,
        "superlink": shlex.join(commands.superlink()),
        "continuing": shlex.join(commands.continuing(agreement.metrics != "none")),
        "every": settings.every,
        "minutes": settings.minutes,
        # a few minutes are counted by the minute
        "looks": "*:*" if settings.minutes < 60 else "*:07",
        "participants": server.participants.resolve(),
    }
    paths = {
        "pyproject.toml": server.app / "pyproject.toml",
        "flower.toml": server.home / "config.toml",
        "server.env": server.path / "server.env",
        "superlink.service": folder.path / "systemd" / "ufgraphfr-superlink.service",
        "continue.service": folder.path / "systemd" / "ufgraphfr-continue.service",
        "continue.timer": folder.path / "systemd" / "ufgraphfr-continue.timer",
        "nginx.conf": folder.path / "nginx" / "ufgraphfr.conf",
        "README.md": folder.path / "README.md",
    }
    for name, path in paths.items():
        write_atomically(path, filled(name, facts))
    write_server_compose(folder, settings)
    for node in agreement.nodes:
        write_node_texts(folder, node.name, settings)


def write_node_texts(folder: Deployment, name: str, settings: ServerSettings) -> None:
    """A node's units and environment, from their templates."""
    node, commands = folder.node(name), Commands(folder, settings)
    address = f"{settings.host}:{settings.public_port}"
    facts = {
        "name": name,
        "node": node.path.resolve(),
        "server": address,
        "threads": 1,
        "bin": BIN,
        "agent": shlex.join(commands.agent(name)),
        "supernode": shlex.join(commands.supernode(name, address, settings.node_port)),
    }
    write_atomically(node.environment, filled("node.env", facts), public=True)
    for kind in ("supernode", "agent"):
        unit = folder.path / "systemd" / f"ufgraphfr-{kind}-{name}.service"
        write_atomically(unit, filled(f"{kind}.service", facts))
    write_node_compose(folder, name, settings)


def _check_paths(*paths: Path) -> None:
    """Units, proxy rules and TOML take these paths in quotes, and know no one way to escape.

    Raises:
        InputError: a path holds what may not stand in quotes.
    """
    for path in paths:
        bad = [each for each in str(path) if each in _UNQUOTABLE or not each.isprintable()]
        if bad:
            raise InputError(
                f"{str(path)!r} holds {bad[0]!r}, which units and proxy rules cannot name: "
                f"choose another folder"
            )


def _name(index: int) -> str:
    return f"node-{index + 1}"
