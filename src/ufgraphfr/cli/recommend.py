"""``ufgraphfr recommend``: lists from a finished run, for users of its data or for anybody."""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ufgraphfr.cli.tables import titled_table
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.frames import LIST_FORMATS, write_rows
from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.requests import Answer, Recommendation, Request

SHOWN_HISTORY = 10
Repeated = list[str] | None

_HISTORY = (
    "Ids or titles of what anybody has, oldest first, with commas between them or repeated; empty "
    "for one of whom nothing is known."
)
_MANY = "Many users, with --out: a file of ids, one a line, or all."
Folder = Annotated[Path, typer.Argument(help="A finished run folder.")]
User = Annotated[str | None, typer.Option(help="A user's id in the data set.")]
History = Annotated[Repeated, typer.Option(help=_HISTORY)]
Profile = Annotated[
    Repeated, typer.Option(help="What is known of anybody; repeatable.", metavar="NAME=VALUE")
]
Similar = Annotated[
    str | None, typer.Option(help="List what goes with this item instead.", metavar="ITEM")
]
Users = Annotated[str | None, typer.Option(help=_MANY)]
Out = Annotated[Path | None, typer.Option(help=f"File for --users: {', '.join(LIST_FORMATS)}.")]
Count = Annotated[int, typer.Option("-n", "--n", help="How many items.")]
Exclude = Annotated[
    Repeated, typer.Option(help="Items that are not to be listed, as in --history.")
]
Where = Annotated[
    Repeated,
    typer.Option(
        help="Only items with this value of a feature; repeatable.", metavar="FEATURE=VALUE"
    ),
]
Seen = Annotated[bool, typer.Option("--seen", help="Also list items of the history.")]
At = Annotated[
    str | None,
    typer.Option(
        help="When a user asks, in ISO 8601 (UTC) or seconds since 1970; now if left out. A model "
        "may ask how long its user was away.",
        metavar="TIME",
    ),
]
Why = Annotated[bool, typer.Option("--why", help="Give reasons.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data set's files.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def recommend(
    folder: Folder,
    user: User = None,
    history: History = None,
    profile: Profile = None,
    similar: Similar = None,
    users: Users = None,
    out: Out = None,
    n: Count = 10,
    exclude: Exclude = None,
    where: Where = None,
    seen: Seen = False,
    why: Why = False,
    at: At = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Recommend items to a user of the data, to anybody by what they have, or to many users.

    Nothing of a history or a profile that is given here is kept.
    """
    wanted = Wanted(user, history, profile, similar, users, out, n, exclude, where, seen, why, at)
    respond(lambda: Recommender.open(folder, data_dir), wanted, as_json)


class Wanted(NamedTuple):
    """What the command line asks for, as it was typed."""

    user: str | None
    history: Repeated
    profile: Repeated
    similar: str | None
    users: str | None
    out: Path | None
    n: int
    exclude: Repeated
    where: Repeated
    seen: bool
    why: bool
    at: str | None


def respond(
    opened: Callable[[], Recommender], wanted: Wanted, as_json: bool, user_option: str = "--user ID"
) -> None:
    """Answer what is asked for.

    Args:
        opened: loads what recommends, once it is clear that something can be asked of it.
        wanted: what is asked for.
        as_json: for programs.
        user_option: how a user is named, for messages.

    Raises:
        InputError: not one answer is asked for, or see `Recommender.answer`.
    """
    user, users, out, similar = wanted.user, wanted.users, wanted.out, wanted.similar
    someone = wanted.history is not None or bool(wanted.profile)
    given = user is not None, someone, similar is not None, users is not None
    _check_for_whom(given, out, user_option)
    # what was left out of the data was told when the run was trained
    logging.getLogger("ufgraphfr").setLevel(logging.WARNING)
    if users is None:
        # one answer is too small to share: a second thread would only wait, at full speed
        torch.set_num_threads(1)
    recommender = opened()
    listed = recommender.items.listed
    request = Request(
        user=user,
        history=[name for text in wanted.history or () for name in listed(text)],
        profile=dict(_pair(text, "--profile") for text in wanted.profile or ()),
        n=wanted.n,
        exclude=[name for text in wanted.exclude or () for name in listed(text)],
        where=_values(wanted.where or ()),
        seen=wanted.seen,
        why=wanted.why,
        at=None if wanted.at is None else _moment(wanted.at),
    )
    if users is not None and out is not None:
        _write(recommender, users, request, out)
    elif similar is not None:
        _show_similar(recommender, similar, request, as_json)
    else:
        _answer(recommender, request, as_json)


def _moment(text: str) -> float:
    """Seconds since 1970."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"--at {text}: write a date as 2026-01-31 or 2026-01-31T18:30, or seconds since 1970"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _check_for_whom(given: Sequence[bool], out: Path | None, user_option: str) -> None:
    if sum(given) != 1:
        raise InputError(
            f"say for whom: one of {user_option}, --history ITEMS (with --profile NAME=VALUE), "
            "--similar ITEM, or --users all --out FILE"
        )
    if given[-1] != (out is not None):
        raise InputError("--users and --out go together: many lists are written to a file")


def _show_similar(recommender: Recommender, similar: str, request: Request, as_json: bool) -> None:
    others = request.exclude, request.where, request.seen, request.why, request.at is not None
    if any(others):
        raise InputError("--similar takes -n and --json alone")
    found = recommender.similar(similar, request.n)
    facts = {"similar": similar, "recommended": [each.facts for each in found]}
    _show(facts, Answer([], found, []), [], f"goes with {escape(similar)}", as_json)


def _answer(recommender: Recommender, request: Request, as_json: bool) -> None:
    user, answer = request.user, recommender.answer(request)
    facts: dict[str, Any] = {"user": user}
    if user is not None:
        people = recommender.people
        facts |= {"trained": people.trained(user), "unknown": people.unknown(user)}
    known = recommender.named(answer.history)
    facts |= {"history": known, "notes": answer.notes}
    facts["recommended"] = [each.facts for each in answer.recommended]
    recent = [each["title"] for each in known[-SHOWN_HISTORY:][::-1]]
    who = "anybody" if user is None else f"user {escape(user)}"
    latest = f"; the latest {len(recent)}:" if recent else ""
    head = f"[bold]{who}[/]: {len(known)} items{latest}"
    _show(facts, answer, [head, *map(escape, (f"  {title}" for title in recent))], "", as_json)


def _show(
    facts: dict[str, Any], answer: Answer, before: Sequence[str], title: str, as_json: bool
) -> None:
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False)
    for note in answer.notes:
        console.print(note, markup=False)
    for line in before:
        console.print(line)
    console.print()
    console.print(_table(answer.recommended, title or "recommended next"))


def _table(items: Sequence[Recommendation], title: str) -> Table:
    table = titled_table(f"[bold]{title}[/]")
    table.add_column("#", justify="right")
    table.add_column("item", overflow="fold")
    table.add_column("score", justify="right")
    explained = any(item.reason for item in items)
    if explained:
        table.add_column("why", overflow="fold")
    for item in items:
        why = [escape(item.reason)] if explained else []
        table.add_row(str(item.rank), escape(item.title), f"{item.score:.3f}", *why)
    return table


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise InputError(f"{option} {text}: write NAME=VALUE, as in age=30")
    return name.strip(), value.strip()


def _values(texts: Sequence[str]) -> dict[str, list[str]]:
    found = dict[str, list[str]]()
    for name, value in (_pair(text, "--where") for text in texts):
        found.setdefault(name, []).append(value)
    return found


def _write(recommender: Recommender, users: str, request: Request, out: Path) -> None:
    """The lists of many users, into a file; how many is told.

    Raises:
        InputError: the file of ids cannot be read or names nobody, or a list cannot be made.
    """
    if request.why:
        raise InputError("--why explains one list: ask for it with --user")
    people = recommender.people
    names, left_out = people.served(), people.unserved
    if users != "all":
        try:
            lines = Path(users).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--users {users}: a file of ids, or all ({error})") from None
        names, left_out = list(dict.fromkeys(filter(None, map(str.strip, lines)))), 0
        if not names:
            raise InputError(f"--users {users} names nobody: write an id a line")
    rows = write_rows(recommender.each(names, request), out)
    print(f"{out}: {rows:,} rows, the lists of {len(names):,} users")
    if left_out:
        print(f"users without weights of their own, whom this model cannot serve: {left_out:,}")
