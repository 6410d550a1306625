"""A group of commands, whose help is Markdown: lines wrap anew, and words in brackets stay."""

from typing import Any

import typer


def group(**settings: Any) -> typer.Typer:
    """A group as of ``typer.Typer``, without completion of its own."""
    return typer.Typer(add_completion=False, rich_markup_mode="markdown", **settings)
