"""A kind of somebody's own is code: no node runs it because a document names it."""

from collections.abc import Iterator
from typing import Any

from ufgraphfr.core.errors import InputError


def check_shipped(experiment: dict[str, Any]) -> None:
    """Check that the tables of an experiment name parts of this package alone.

    Raises:
        InputError: a dotted name is among them.
    """
    for key, name in _names(experiment):
        if "." in name:
            raise InputError(
                f"{key} = '{name}' is not of this package: an agreement names no code that each "
                f"node has not installed; leave it out, or run it as a simulation"
            )


def _names(values: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The names of parts in nested tables: each ``kind``, and what lists of evaluation hold."""
    if isinstance(values, str):
        if key.endswith("kind") or key.startswith("evaluation."):
            yield key, values
    elif isinstance(values, dict | list | tuple):
        inner = values.items() if isinstance(values, dict) else (("", each) for each in values)
        for name, value in inner:
            yield from _names(value, f"{key}.{name}".strip("."))
