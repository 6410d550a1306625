"""One data holder, as an agreement names it."""

import re
from dataclasses import dataclass

from ufgraphfr.core.errors import InputError


@dataclass(frozen=True)
class Node:
    """One data holder.

    Attributes:
        name: of the node.
        first: id of its first client.
        clients: how many ids it may give to its users.
    """

    name: str
    first: int
    clients: int

    def __post_init__(self) -> None:
        """Checks what ends in paths, units and ids."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", self.name):
            raise InputError(f"node '{self.name}': a name is of letters, digits, '-', '_' and '.'")
        if self.first < 0 or self.clients < 1:
            raise InputError(f"node {self.name}: it needs at least one client id, from 0 on")
