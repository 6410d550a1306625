"""``ufgraphfr agent``: the process next to the data, and what its operator does with the shard."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ufgraphfr.cli import agent_backup, agent_models, agent_recommend, agent_serve
from ufgraphfr.cli.findings import tell
from ufgraphfr.cli.group import group
from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.deploy.agent.enrolment import beyond
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.models import Models
from ufgraphfr.deploy.agent.serve import serve
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agent.watched_folder import WatchedFolder
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.lifetime import in_runs
from ufgraphfr.deploy.operations import node_doctor
from ufgraphfr.deploy.operations.folder import NodeFolder
from ufgraphfr.deploy.wire import unix_socket

app = group(invoke_without_command=True)
app.add_typer(agent_models.app, name="models")
app.command()(agent_recommend.recommend)
app.command()(agent_backup.backup)
app.command()(agent_backup.restore)
app.command("serve")(agent_serve.serve)
app.add_typer(agent_serve.tokens, name="tokens")

_METRICS = {
    "sums": "leave as sums without noise, which protect nobody from the server",
    "noised": "of the test leave once, as noised sums that are paid for",
    "none": "do not leave",
}
_WATCH = "Import each table that is put into this folder, until told to stop."
_DIGEST = "Digest of the agreement, as its parties told each other: signs it off."
Agree = Annotated[str | None, typer.Option("--agree", metavar="DIGEST", help=_DIGEST)]


@app.callback()
def agent(
    context: typer.Context,
    shard: Annotated[Path, typer.Option(help="Folder of the shard, as deploy init wrote it.")],
    agree: Agree = None,
) -> None:
    """Serve a shard of users' data, or manage it.

    Without a command it answers the server's requests until it is told to stop. It starts once the
    agreement in the shard's folder is signed off, by its digest.
    """
    context.obj = ShardFolder(shard)
    if context.invoked_subcommand is None:
        if agree is not None or not context.obj.is_signed:
            _sign(context.obj, agree)
        serve(Agent(context.obj), context.obj.socket)


@app.command()
def init(
    context: typer.Context,
    agree: Agree = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Replace the key of a node that takes part.")
    ] = False,
) -> None:
    """Make this node's own key, and sign the agreement off; the public half goes to the server."""
    folder: ShardFolder = context.obj
    try:
        from ufgraphfr.deploy.operations.certificates import fingerprint, write_node_key
    except ImportError:
        raise MissingExtra("agent init", "flower") from None
    node = NodeFolder(folder.path.resolve().parent)
    if new_key:
        node.key.unlink(missing_ok=True)
    if node.key.exists():
        raise InputError(
            f"{node.key} is there already: whoever made it can reply as this node; remove it, "
            f"unless you made it here yourself (--new-key makes another one)"
        )
    console = _console()
    if not new_key:
        # a signature that came with the folder is nobody's
        _sign(folder, agree)
        console.print(f"signed off {folder.agreement}", soft_wrap=True, markup=False)
    write_node_key(node.key, node.public_key)
    console.print(f"made {node.key}, which stays here", soft_wrap=True, markup=False)
    console.print(f"send {node.public_key} to the server's operator, and compare", soft_wrap=True)
    console.print(fingerprint(node.public_key), soft_wrap=True)


@app.command("pad-key")
def pad_key(context: typer.Context) -> None:
    """Make this node's key for secure sums, before there is an agreement; show its public half."""
    try:
        from ufgraphfr.deploy.agent.pad_book import PadBook
    except ImportError:
        raise MissingExtra("agent pad-key", "flower") from None
    book, console = PadBook(context.obj.path), _console()
    public = book.make()
    console.print(f"made {book.key_file}, which stays here", soft_wrap=True, markup=False)
    console.print("send this line to the server's operator:")
    console.print(public, soft_wrap=True)


@app.command()
def agree(
    context: typer.Context,
    digest: Annotated[str | None, typer.Argument(help=_DIGEST, show_default=False)] = None,
) -> None:
    """Sign off the agreement, or the last amendment of it with all before."""
    folder, console = context.obj, _console()
    for amendment in folder.unsigned():
        for line in (f"amendment {amendment.number}, {amendment.digest}", *amendment.lines()):
            console.print(line, soft_wrap=True, markup=False)
    _sign(folder, digest)
    console.print("signed off; an agent that runs follows when the server asks under it")


@app.command("import")
def import_(
    context: typer.Context,
    interactions: Annotated[
        Path | None, typer.Argument(help="Table of users' interactions.", show_default=False)
    ] = None,
    users: Annotated[Path | None, typer.Option(help="Table of users' attributes.")] = None,
    watch: Annotated[Path | None, typer.Option(help=_WATCH, metavar="DIR")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Between two looks.")] = 10.0,
) -> None:
    """Load users' data; every row is checked, and what is there already stays."""
    folder: ShardFolder = context.obj
    if (interactions is None) == (watch is None) or (watch and users):
        raise InputError(
            "agent import takes one table (and --users), or --watch DIR, where users.csv holds the "
            "attributes"
        )
    if interactions is not None:
        for line in folder.import_table(interactions, users).lines():
            _console().print(line, soft_wrap=True)
        return
    assert watch is not None
    folder.signed()
    watched = WatchedFolder(folder, watch)
    while True:
        for taken in watched.look():
            said = f"{taken.path}: {'refused: ' if taken.refused else ''}{'; '.join(taken.lines)}"
            _console().print(said, soft_wrap=True, markup=False)
        time.sleep(seconds)


@app.command()
def status(context: typer.Context) -> None:
    """Show who this shard is, what it agreed to, and what was asked of it."""
    folder: ShardFolder = context.obj
    name, agreement, _ = folder.signed()
    node, console = agreement.node(name), _console()
    store = ShardStore(folder.database) if folder.database.exists() else None
    spent = None if store is None else store.participations.spent()
    users, waiting = (len(store.names()), store.waiting()) if store is not None else (0, 0)
    experiment, runs = agreement.experiment, unix_socket.listens(folder.socket)
    held = f", of whom {waiting:,} have too few rows to take part yet"
    facts: dict[str, Any] = {
        "node": f"{name}, client ids {node.first:,} to {node.first + node.clients - 1:,}",
        "agreement": agreement.digest,
        "signed off": _signed_off(folder),
        "algorithm": f"{agreement.algorithm.kind}, at most {experiment.federation.rounds} rounds",
        "privacy": experiment.mechanism.guarantee,
        "spent": "nothing that is accounted for" if spent is None else str(spent),
        **_lifetime(store, agreement),
        "metrics": _METRICS[agreement.metrics],
        "users": f"{users:,}{held if waiting else ''}",
        "model": _model(Models(folder.models)),
        "ca.crt": _certificate(folder),
        "socket": "open" if runs else "not open: the agent does not run",
    }
    for key, value in facts.items():
        console.print(f"[bold]{key:10}[/] ", end="")
        console.print(value, markup=False, soft_wrap=True)
    for code, count in _answers(folder.audit).items():
        console.print(f"{count:,} requests {code}", markup=False)
    if reason := _last_reason(folder.audit):
        console.print(f"the last request was not answered: {reason}", markup=False, soft_wrap=True)


@app.command()
def doctor(context: typer.Context) -> None:
    """Look for what is not right at this node; exit code 1 if something must be done."""
    tell(_console(), node_doctor.examine(context.obj))


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


def _sign(folder: ShardFolder, digest: str | None) -> None:
    """Sign the agreement off; a person at a terminal is asked for its digest."""
    if digest is None:
        if not sys.stdin.isatty():
            raise InputError(
                f"{folder.agreement} is not signed off: read it, and give the digest that its "
                f"parties told each other with --agree DIGEST, once"
            )
        digest = typer.prompt(f"digest of {folder.agreement}, as its parties told each other")
    folder.sign(digest)


def _lifetime(store: ShardStore | None, agreement: Agreement) -> dict[str, str]:
    """The total of all runs, and for how many users it is spent."""
    if agreement.lifetime is None:
        return {}
    told = in_runs(agreement.experiment, agreement.lifetime)
    left = 0 if store is None else beyond(store, agreement)
    return {"for life": f"{told}; {left:,} users cannot be in another run"}


def _signed_off(folder: ShardFolder) -> str:
    if not folder.is_signed:
        return "not yet: the agent does not start"
    if unsigned := folder.unsigned():
        return f"yes, but for amendment {unsigned[-1].number}: ufgraphfr agent agree DIGEST"
    return "yes"


def _certificate(folder: ShardFolder) -> str:
    finding = node_doctor.authority(folder)
    return f"{finding.said}{': ' if finding.do else ''}{finding.do}"


def _model(models: Models) -> str:
    number = models.current
    if number is None:
        return "none yet: the server sends one when its run ends"
    chosen = ", as chosen" if models.chosen else ""
    return f"release {number}{chosen}; {len(models.numbers)} kept here"


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
