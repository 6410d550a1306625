"""``ufgraphfr deploy``: the same run over Flower, from an empty folder to its result."""

import shlex
import time
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ufgraphfr.cli import deploy_change, deploy_end
from ufgraphfr.cli.deploy_options import (
    Again,
    ConsentedMetrics,
    Every,
    ExpectedUsers,
    Folder,
    IfBetter,
    LifetimeDays,
    LifetimeEpsilon,
    MinUsers,
    NodePort,
    Nodes,
    NoisedMetrics,
    PadKeys,
    PublicPort,
    TryOut,
    metrics_policy,
    total_of,
)
from ufgraphfr.cli.findings import tell
from ufgraphfr.cli.group import group
from ufgraphfr.cli.results import show_result
from ufgraphfr.cli.run import Overrides
from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.core.spec import parse
from ufgraphfr.deploy.agreement.lifetime import in_runs
from ufgraphfr.deploy.operations import processes
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.continuing import drift
from ufgraphfr.deploy.server.liveness import (
    PAUSED,
    STOPPED,
    WAITING,
    measured,
)
from ufgraphfr.deploy.server.settings import ServerSettings, bare_host
from ufgraphfr.experiment.reading import read

app = group(no_args_is_help=True, help="Run a federation over Flower.")
app.command()(deploy_change.amend)
app.command()(deploy_change.renew)
app.command()(deploy_change.backup)
app.command()(deploy_change.restore)
app.command()(deploy_change.readmit)
app.command()(deploy_end.pause)
app.command()(deploy_end.stop)

EXIT_STOPPED = 3


@app.command()
def init(
    folder: Folder,
    experiment: Annotated[Path, typer.Option(help="The experiment, a TOML file.")],
    nodes: Nodes = 2,
    try_out: TryOut = False,
    users: Annotated[int, typer.Option(min=1, help="Most users of a node.")] = 100_000,
    min_users: MinUsers = 20,
    expected_users: ExpectedUsers = None,
    consented_metrics: ConsentedMetrics = False,
    noised_metrics: NoisedMetrics = False,
    host: Annotated[str, typer.Option(help="By which nodes know the server.")] = "localhost",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the engine, on loopback.")] = 8443,
    public_port: PublicPort = 443,
    node_port: NodePort = 9094,
    every: Every = "7d",
    lifetime_epsilon: LifetimeEpsilon = None,
    lifetime_days: LifetimeDays = 0,
    pad_keys: PadKeys = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
    set_: Overrides = None,
) -> None:
    """Write agreement, certificates, units, proxy rules and instructions."""
    deployment = Deployment(folder.resolve())
    # needs the extra, which the operator of a node need not have
    initialiser = _initialiser()
    # refused before anything is written
    ports = {"port": port, "public_port": public_port, "node_port": node_port}
    given = {"host": bare_host(host), "every": every, **ports}
    settings = parse(ServerSettings, given, "deploy init")
    checked = read(experiment, tuple(set_ or ()))
    metrics = metrics_policy(consented_metrics, noised_metrics)
    lifetime = total_of(checked, lifetime_epsilon, lifetime_days)
    if try_out:
        found = initialiser.draft_tryout(checked, nodes, deployment, data_dir, metrics, lifetime)
    else:
        of_users = users, min_users, metrics, data_dir, expected_users
        found = initialiser.draft(checked, nodes, *of_users, lifetime, pad_keys)
    initialiser.write(deployment, found, settings)
    said = [f"wrote {folder}; read its README.md", f"agreement {found.agreement.digest}"]
    for line in (*said, *([] if lifetime is None else [in_runs(checked, lifetime)])):
        _console().print(line, soft_wrap=True, markup=False)


@app.command()
def up(
    folder: Folder,
    loopback: Annotated[
        bool, typer.Option("--loopback", help="Everything on this machine, for a try-out.")
    ] = False,
    again: Again = False,
    if_better: IfBetter = False,
) -> None:
    """Start server, agents and SuperNodes on this machine, and the run."""
    if not loopback:
        raise InputError(
            "deploy up starts everything on this machine: say --loopback; on real hosts the units "
            "in systemd/ start the processes, and deploy start begins the run"
        )
    _launcher().up(Deployment(folder.resolve()), again=again, if_better=if_better)
    hint = f"ufgraphfr deploy watch {shlex.quote(str(folder))}"
    _console().print(f"running; watch it with: {hint}", soft_wrap=True, markup=False)


@app.command()
def start(folder: Folder, again: Again = False, if_better: IfBetter = False) -> None:
    """Register the nodes' keys and begin the run, on a server that runs already."""
    deployment = Deployment(folder.resolve())
    _launcher().register(deployment)
    _launcher().submit(deployment, again, if_better)


@app.command()
def status(folder: Folder) -> None:
    """Show which processes run here, and how far the run is."""
    deployment, console = Deployment(folder.resolve()), _console()
    settings = deployment.server.read_settings()
    for name, process in processes.read(deployment.processes).items():
        console.print(f"{name}: {'runs' if process.alive else 'has ended'}, {process.pid}")
    values = measured(deployment.server, settings.startup_timeout)
    lines = [_line(values) if values else "no run has begun"]
    missed, reasons = values.get("missed_by_node", {}), values.get("reason_by_node", {})
    lines += [f"{n}: {missed[n]:,} without a usable reply, last: {reasons[n]}" for n in reasons]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


@app.command()
def doctor(folder: Folder) -> None:
    """Look for what is not right at the server; exit code 1 if something must be done."""
    deployment = Deployment(folder.resolve())
    deployment.server.read_settings()
    tell(_console(), _with_extra("server_doctor").examine(deployment))


@app.command()
def watch(
    folder: Folder,
    seconds: Annotated[float, typer.Option(help="Between two looks.")] = 1.0,
) -> None:
    """Follow the run to its end: rounds, nodes, users, bytes, lost replies, epsilon."""
    _watch(Deployment(folder.resolve()), seconds)


@app.command()
def publish(folder: Folder) -> None:
    """Send the model of a finished run to the nodes that lack it; it has its number already.

    A run publishes its model when it ends. Nodes that were away then get it so.
    """
    deployment = Deployment(folder.resolve())
    _launcher().publish(deployment)
    _watch(deployment, 1.0)


def _watch(deployment: Deployment, seconds: float) -> None:
    """Follow a run to its end."""
    console = _console()
    settings = deployment.server.read_settings()
    _warn_of_certificates(console, deployment, settings)
    shown, values = "", {"state": WAITING[0]}
    while values["state"] in WAITING:
        values = measured(deployment.server, settings.startup_timeout) or values
        line = _line(values)
        if line != shown:
            console.print(line, soft_wrap=True)
            shown = line
        server = processes.read(deployment.processes).get("superlink")
        if values["state"] in WAITING and server is not None and not server.alive:
            raise InputError("the server has ended: start it anew (deploy up --loopback)")
        time.sleep(seconds)
    if values["state"] != "finished":
        console.print(f"stopped: {values['state']}", style="red", soft_wrap=True, markup=False)
        if values["state"] in (PAUSED, STOPPED):
            console.print("it goes on with ufgraphfr deploy start", soft_wrap=True)
        raise typer.Exit(EXIT_STOPPED)
    show_result(console, deployment.server.run / "result.json")
    for said in drift(deployment.server).lines:
        console.print(said, soft_wrap=True, markup=False)
    _tell_release(console, values)


def _warn_of_certificates(
    console: Console, deployment: Deployment, settings: ServerSettings
) -> None:
    """Say which certificate ends soon, or has ended."""
    for finding in _with_extra("server_doctor").certificates(deployment, settings):
        if finding.do:
            told = f"{finding.what}: {finding.said}: {finding.do}"
            console.print(told, style="yellow", soft_wrap=True, markup=False)


@app.command()
def down(folder: Folder) -> None:
    """Stop the processes that deploy up started here."""
    stopped, killed = _launcher().down(Deployment(folder.resolve()))
    _console().print(f"stopped {stopped} processes" + (f", killed {killed}" if killed else ""))


def _tell_release(console: Console, values: dict[str, Any]) -> None:
    """Which release the nodes have, and which of them do not."""
    if values.get("withheld"):
        said = f"not published: {values['withheld']}; ufgraphfr deploy publish publishes it"
        console.print(said, style="yellow", soft_wrap=True, markup=False)
    if "release" not in values:
        return
    missing = values["unpublished"]
    there = f"release {values['release']} is at {values['nodes'] - len(missing)} nodes"
    console.print(f"{there} of {values['nodes']}", soft_wrap=True)
    if missing:
        console.print(
            f"not at {', '.join(missing)}: see that SuperNode and agent run there, then "
            f"ufgraphfr deploy publish",
            soft_wrap=True,
            markup=False,
        )


def _line(values: dict[str, Any]) -> str:
    parts = [
        f"round {values.get('rounds', 0)}/{values.get('rounds_planned', '?')}",
        f"{values.get('nodes', 0)} nodes",
        f"{values.get('users', 0):,} users",
        f"{values.get('bytes_down', 0) / 1e6:.1f} MB down",
        f"{values.get('bytes_up', 0) / 1e6:.1f} MB up",
        f"{values.get('replies_lost', 0)} lost",
        f"{values.get('replies_rejected', 0)} refused",
    ]
    if "epsilon_spent" in values:
        parts.append(f"epsilon {values['epsilon_spent']:.2f} of {values['epsilon_budget']:.2f}")
    if values.get("untold"):
        parts.append(f"{values['untold']} evaluations refused")
    if "ndcg10" in values:
        parts.append(f"val NDCG@10 {values['ndcg10']:.4f}")
    return f"{values['state']}: " + ", ".join(parts)


def _initialiser() -> Any:
    return _with_extra("init")


def _launcher() -> Any:
    return _with_extra("launcher")


def _with_extra(module: str) -> Any:
    try:
        return import_module(f"ufgraphfr.deploy.operations.{module}")
    except ImportError:
        raise MissingExtra("deploy", "flower") from None


def _console() -> Console:
    return Console(highlight=False)
