"""The command line: one sub-command a file; bad input ends with one clear line and exit code 2."""

import logging
import sys

import typer
from rich.console import Console
from rich.logging import RichHandler

from ufgraphfr.cli import compare, data, doctor, recommend, run
from ufgraphfr.core.errors import InputError

app = typer.Typer(
    name="ufgraphfr",
    help="Federated recommendation that is accurate, private by proof, and deployable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run.run)
app.command("compare")(compare.compare)
app.command("recommend")(recommend.recommend)
app.command("doctor")(doctor.doctor)
app.add_typer(data.app, name="data")

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def main() -> None:
    """The console script."""
    console = Console(stderr=True)
    handler = RichHandler(console=console, show_time=False, show_path=False, show_level=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
    try:
        app()
    except InputError as error:
        console.print(f"[bold red]error:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        console.print("interrupted; go on with --resume", highlight=False)
        sys.exit(EXIT_INTERRUPTED)
