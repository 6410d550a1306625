"""Whether the ids of the interactions find their rows in the table of users or of items."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from ufgraphfr.core.errors import InputError


@dataclass(frozen=True)
class Join:
    """Ids that are looked up.

    Attributes:
        noun: what they are of, ``user`` or ``item``.
        fact: what is looked up, as in ``12 users have no profile``.
        ids: those of the interactions.
        known: those of the table.
        file: how messages name the table.
    """

    noun: str
    fact: str
    ids: Sequence[str]
    known: Collection[str]
    file: str

    @cached_property
    def missing(self) -> list[str]:
        """Ids without a row."""
        return [each for each in self.ids if each not in self.known]

    def told(self) -> str:
        """How many of how many were found, with an example of each side where one was not.

        Raises:
            InputError: none was found.
        """
        found, all_of_them = len(self.ids) - len(self.missing), len(self.ids)
        count = f"{found:,} of {all_of_them:,} {self.noun}s are in {self.file}"
        if not self.missing:
            return count
        wanted = set(self.ids)
        example = min((each for each in self.known if each not in wanted), default=None)
        theirs = f"'{example}'" if example is not None else "nothing else"
        sides = f"for example '{self.missing[0]}', where {self.file} has {theirs}"
        if not found:
            raise InputError(
                f"{count}, {sides}: write the same {self.noun} alike in both (leading zeros "
                f"count), or leave the table out"
            )
        return f"{count}; {len(self.missing):,} {self.noun}s have no {self.fact}, {sides}"
