"""``ufgraphfr agent``: the process next to the data, and what its operator does with the shard."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.serve import serve
from ufgraphfr.deploy.agent.shard import Agent, ShardFolder
from ufgraphfr.deploy.agent.store import ShardStore

app = typer.Typer(invoke_without_command=True)


@app.callback()
def agent(
    context: typer.Context,
    shard: Annotated[Path, typer.Option(help="Folder of the shard, as deploy init wrote it.")],
) -> None:
    """Serve a shard of users' data, or manage it.

    Without a command it answers the server's requests until it is told to stop. Starting it signs
    off the agreement in the shard's folder.
    """
    context.obj = ShardFolder(shard)
    if context.invoked_subcommand is None:
        serve(Agent(context.obj), context.obj.socket)


@app.command("import")
def import_(
    context: typer.Context,
    interactions: Annotated[Path, typer.Argument(help="Table of users' interactions.")],
    users: Annotated[Path | None, typer.Option(help="Table of users' attributes.")] = None,
) -> None:
    """Load users' data; every row is checked, and what is there already stays."""
    folder: ShardFolder = context.obj
    for line in folder.import_table(interactions, users).lines():
        _console().print(line, soft_wrap=True)


@app.command()
def status(context: typer.Context) -> None:
    """Show who this shard is, what it agreed to, and what was asked of it."""
    folder: ShardFolder = context.obj
    name, agreement, _ = folder.signed()
    node, console = agreement.node(name), _console()
    users = ShardStore(folder.database).names() if folder.database.exists() else []
    experiment = agreement.experiment
    facts: dict[str, Any] = {
        "node": f"{name}, client ids {node.first:,} to {node.first + node.clients - 1:,}",
        "agreement": agreement.digest,
        "algorithm": f"{agreement.algorithm.kind}, at most {experiment.federation.rounds} rounds",
        "privacy": experiment.mechanism.guarantee,
        "metrics": "leave as sums" if agreement.metrics == "sums" else "do not leave",
        "users": f"{len(users):,}",
        "socket": "open" if folder.socket.exists() else "not open: the agent does not run",
    }
    for key, value in facts.items():
        console.print(f"[bold]{key:10}[/] ", end="")
        console.print(value, markup=False, soft_wrap=True)
    for code, count in _answers(folder.audit).items():
        console.print(f"{count:,} requests {code}", markup=False)
    if reason := _last_reason(folder.audit):
        console.print(f"the last request was not answered: {reason}", markup=False, soft_wrap=True)


@app.command()
def forget(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="The user's name in the imported table.")],
) -> None:
    """Delete a person's data and private state."""
    folder: ShardFolder = context.obj
    _, agreement, _ = folder.signed()
    if not folder.database.exists():
        raise InputError(f"{folder.path} holds no users: nothing was deleted")
    rows = ShardStore(folder.database).forget(user)
    console = _console()
    console.print(f"deleted: {rows:,} interactions, the profile, private weights, the outbox")
    console.print(
        f"earlier releases cannot be taken back; what they say of this person is bounded by: "
        f"{agreement.experiment.mechanism.guarantee}",
        markup=False,
        soft_wrap=True,
    )


def _last_reason(audit: Path) -> str:
    """Why the last request failed or was refused; empty if it was answered."""
    lines = audit.read_text(encoding="utf-8").splitlines() if audit.exists() else []
    return str(json.loads(lines[-1]).get("reason", "")) if lines else ""


def _answers(audit: Path) -> dict[str, int]:
    """How many requests ended how."""
    counts: dict[str, int] = {}
    lines = audit.read_text(encoding="utf-8").splitlines() if audit.exists() else []
    for line in lines:
        code = str(json.loads(line)["code"])
        counts[code] = counts.get(code, 0) + 1
    return counts


def _console() -> Console:
    return Console(highlight=False)
