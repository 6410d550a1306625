"""Which column of a table is the user, item, time, rating or title, guessed from the header.

A guess is by name alone, by the names that public data sets use, never by what a column holds. The
order of the names decides where a header has several.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.opening import Opening
from ufgraphfr.data.timestamps import DATE_PARTS

KNOWN: dict[str, tuple[str, ...]] = {
    "user": (
        *("user", "userid", "person", "personid", "customer", "customerid", "reader", "readerid"),
        *("member", "memberid", "visitor", "visitorid", "reviewer", "reviewerid", "session"),
        *("sessionid", "account", "accountid", "uid"),
    ),
    "item": (
        *("item", "itemid", "movie", "movieid", "film", "filmid", "book", "bookid", "isbn"),
        *("product", "productid", "article", "articleid", "content", "contentid", "asin"),
        *("artist", "artistid", "track", "trackid", "song", "songid", "business", "businessid"),
        *("game", "gameid", "video", "videoid", "news", "newsid", "sku", "iid"),
    ),
    "timestamp": (
        *("timestamp", "time", "datetime", "date", "day", "unixtime", "unixreviewtime", "ts"),
        *("createdat", "eventtime", "eventtimestamp"),
    ),
    "rating": ("rating", "bookrating", "stars", "score", "overall"),
    "title": ("title", "booktitle", "movietitle", "itemtitle", "name", "itemname"),
}
KNOWN |= {f"{key}_key": (*KNOWN[key], "id") for key in ("user", "item")}
"""Names in lower case, without what separates words."""


@dataclass(frozen=True)
class Guess:
    """A column that was chosen.

    Attributes:
        key: of ``[data.columns]``.
        column: as the header writes it; several for a date in parts.
        file: whose header.
    """

    key: str
    column: str | tuple[str, ...]
    file: str

    def told(self) -> str:
        """One line for people."""
        several = isinstance(self.column, tuple)
        named = f"columns {', '.join(self.column)}" if several else f"column '{self.column}'"
        return f"{self.key} is the {named} of {self.file} (guessed from the header)"


def header_of(path: Path, opening: Opening) -> list[str]:
    """The columns of a table.

    Raises:
        InputError: it cannot be read.
    """
    return opening.table(path.parent, path.name).columns


def guess(file: str, header: Sequence[str], keys: Collection[str]) -> dict[str, Guess]:
    """A column for each key that a known name gives.

    Args:
        file: how messages name the table.
        header: its columns.
        keys: of ``[data.columns]`` that are looked for.
    """
    named = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in reversed(header)}
    known = {key: _known(key, named) for key in keys}
    return {key: Guess(key, column, file) for key, column in known.items() if column}


def _known(key: str, named: Mapping[str, str]) -> str | tuple[str, ...] | None:
    """The column by names in lower case that is the first with a known name."""
    names = [name for name in KNOWN[key] if name in named]
    if key == "timestamp" and "month" in named:
        # a day beside a month is none of its own
        names = [name for name in names if name != "day"]
        if not names and "year" in named and "day" in named:
            return tuple(named[part] for part in takewhile(named.__contains__, DATE_PARTS))
    return named[names[0]] if names else None


def need(file: str, header: Sequence[str], keys: Collection[str]) -> dict[str, Guess]:
    """`guess`, where every key must have a column.

    Raises:
        InputError: one has none; the setting that names it is offered.
    """
    found = guess(file, header, keys)
    for key in keys:
        if key not in found:
            raise InputError(
                f"no column of {file} is known to be the {key} (it has {', '.join(header)}): name "
                f"it, --set columns.{key}=COLUMN"
            )
    return found
