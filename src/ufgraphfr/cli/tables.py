"""How every titled table on the screen looks."""

from rich.box import SIMPLE_HEAD
from rich.table import Table


def titled_table(title: str, *, collapse_padding: bool = False) -> Table:
    """An empty table without lines, its title above it on the left."""
    return Table(
        title=title,
        title_justify="left",
        title_style="",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=collapse_padding,
    )
