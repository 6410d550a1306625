"""The command line: one sub-command a file; bad input ends with one clear line and exit code 2."""

import gc
import logging
import os
import sys
import warnings
from importlib import import_module
from typing import Annotated, Any, NoReturn

import click
import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

import ufgraphfr
from ufgraphfr.cli.group import group
from ufgraphfr.core.errors import InputError, is_disk_full, nearest

COMMANDS = (
    *("new", "run", "tune", "compare", "report", "describe", "recommend", "serve"),
    *("audit", "export", "privacy", "data", "deploy", "agent", "doctor"),
)
"""Each is a module beside this one: with an ``app`` of sub-commands, or a function of its name."""


class LazyCommands(TyperGroup):
    """Imports a command when it is asked for: what the others need takes seconds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of people's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:
                return None
            raise InputError(f"no command '{cmd_name}': {nearest(cmd_name, COMMANDS)}")
        # what is imported stays: looking through it for garbage takes a sixth of the time
        gc.disable()
        module = import_module(f"ufgraphfr.cli.{cmd_name}")
        gc.freeze()
        gc.enable()
        commands = getattr(module, "app", None)
        if commands is None:
            commands = group()
            epilog = module.epilog() if hasattr(module, "epilog") else None
            commands.command(cmd_name, epilog=epilog)(getattr(module, cmd_name))
        command = typer.main.get_command(commands)
        command.name = cmd_name
        return command


app = group(
    name="ufgraphfr",
    cls=LazyCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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
