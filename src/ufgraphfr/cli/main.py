"""The command line: one sub-command a file; bad input ends with one clear line and exit code 2."""

import logging
import os
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

import ufgraphfr
from ufgraphfr.cli import (
    agent,
    audit,
    compare,
    data,
    deploy,
    describe,
    doctor,
    export,
    new,
    privacy,
    recommend,
    run,
)
from ufgraphfr.core.errors import InputError, is_disk_full

app = typer.Typer(
    name="ufgraphfr",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("new")(new.new)
app.command("run", epilog=run.kinds_help())(run.run)
app.command("compare")(compare.compare)
app.command("describe")(describe.describe)
app.command("recommend")(recommend.recommend)
app.command("audit")(audit.audit)
app.command("export")(export.export)
app.command("privacy")(privacy.privacy)
app.add_typer(data.app, name="data")
app.add_typer(deploy.app, name="deploy")
app.add_typer(agent.app, name="agent")
app.command("doctor")(doctor.doctor)

EXIT_BAD_INPUT = 2


class StandardError(logging.Handler):
    """Lines on the standard error of the moment, which a live display shows above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        print(self.format(record), file=sys.stderr)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"ufgraphfr {ufgraphfr.__version__}")
        raise typer.Exit()


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line, without the place in our own code that a person cannot change."""
    print(f"warning: {message}", file=sys.stderr)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Federated recommendation: train, evaluate, compare and recommend from TOML files."""


def main() -> None:
    """The console script."""
    logging.basicConfig(format="%(message)s", handlers=[StandardError()])
    logging.getLogger("ufgraphfr").setLevel(logging.INFO)
    # Python hides these from people by default: keys of the release before
    warnings.filterwarnings("default", category=DeprecationWarning, module="ufgraphfr")
    warnings.showwarning = _show_warning
    if sys.argv[1:2] not in (["agent"], ["deploy"]):
        # a dotted kind may lie in the current folder, as with `python -m`
        sys.path.append(os.getcwd())
    else:
        # never for who serves others, whose folder may hold their code
        sys.path[:] = [each for each in sys.path if os.path.abspath(each) != os.getcwd()]
    try:
        app(prog_name="ufgraphfr")
    except InputError as error:
        _end(str(error))
    except Exception as error:
        if not is_disk_full(error):
            raise
        _end(
            f"no space is left on the disk ({error}): what was finished is kept; make room, and "
            f"repeat the command (a run with --resume)"
        )


def _end(said: str) -> NoReturn:
    console = Console(stderr=True, highlight=False)
    # not markup: messages name tables like [data]
    message = Text.assemble(("error: ", "bold red"), said)
    console.print(message, soft_wrap=not console.is_terminal)
    sys.exit(EXIT_BAD_INPUT)
