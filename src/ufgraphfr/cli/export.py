"""``ufgraphfr export``: what of a run may be given away, in a folder of its own."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ufgraphfr.experiment.publish import publish


def export(
    folder: Annotated[Path, typer.Argument(help="A finished run folder.")],
    public: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write; it must not exist yet.")
    ],
) -> None:
    """Write what the guarantee of a run covers, and only that, into a folder to give away.

    That is the model without private weights, the privacy statement, the settings without paths,
    and the environment. A run without a guarantee is refused.
    """
    names = publish(folder, public)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"wrote {public}: {', '.join(names)}")
    console.print("read its privacy.md before you share it: it says what is not covered")
