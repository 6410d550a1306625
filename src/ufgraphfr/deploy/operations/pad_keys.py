"""Pad keys of secure sums: each is made at its node, and the public halves come together here."""

from collections.abc import Sequence
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.pad_book import PadBook
from ufgraphfr.deploy.operations.folder import Deployment


def make_pad_keys(folder: Deployment, names: Sequence[str]) -> dict[str, str]:
    """Make the keys of a try-out, all of whose nodes are on this machine."""
    return {name: PadBook(folder.node(name).shard).make() for name in names}


def read_pad_keys(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The public halves that the nodes' operators sent, by node.

    Raises:
        InputError: one is missing.
    """
    found = {}
    for name in names:
        path = folder / f"{name}.pad"
        try:
            found[name] = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise InputError(
                f"{path} is missing: the operator of {name} runs ufgraphfr agent --shard shard "
                f"pad-key and sends the line that it prints; put it there"
            ) from None
    return found
