"""Which column of a person's own files holds what."""

from typing import Any

from pydantic import field_validator

from ufgraphfr.core.spec import Spec
from ufgraphfr.data.tables import Table
from ufgraphfr.data.timestamps import DATE_PARTS, joined

DATE = 3
"""How many columns a date has at least, where it has several."""
_ATOMIC = {"user": "user_id", "item": "item_id"}
"""What RecBole calls them."""


class Columns(Spec):
    """Which column of the files holds what.

    A column that is named must exist; without a name, `timestamp`, `rating` and `title` are taken
    from columns of these names where there are any. Columns may be given by number, from 1, as
    they must be where the files have no header.
    """

    user: str = "user"
    """Who; RecBole's atomic files may call it ``user_id``."""
    item: str = "item"
    """What; RecBole's atomic files may call it ``item_id``."""
    timestamp: str | tuple[str, ...] = ""
    """Numbers of one unit (seconds, milliseconds ...), ISO dates, or as ``time_format`` says. A
    date may stand in several columns: year, month and day, and perhaps hour, minute, second, in
    this order."""
    rating: str = ""
    """Checked to be a number where it exists; every row from ``min_rating`` on is an
    interaction."""
    part: str = ""
    """``train``, ``validation`` or ``test``, for ``split = "given"``."""
    title: str = ""
    """Of the item table."""
    user_key: str = ""
    """The user's column in the user table, where it is called otherwise than in the
    interactions."""
    item_key: str = ""
    """The item's column in the item table, likewise."""

    @field_validator("*", mode="before")
    @classmethod
    def _by_number(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return tuple(cls._by_number(each) for each in value)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("timestamp")
    @classmethod
    def _is_date(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(value, tuple) and not DATE <= len(value) <= len(DATE_PARTS):
            raise ValueError(
                f"of several columns a time has {DATE} to {len(DATE_PARTS)}: "
                f"{', '.join(DATE_PARTS)}, in this order"
            )
        return value

    def id_of(self, key: str, table: Table, own: str = "") -> str:
        """The column of users or items, where ``own`` is its other name in this table.

        Raises:
            InputError: it is missing.
        """
        named = own or getattr(self, key)
        if named == key and named not in table.columns and table.typed:
            named = _ATOMIC[key]
        return _numbered(named, table)

    def timed(self, table: Table) -> tuple[Table, str]:
        """The table, and its column of times, which may be a new one, or nothing if it has none.

        Raises:
            InputError: one was named, and is missing.
        """
        if isinstance(self.timestamp, str):
            return table, self.column_of("timestamp", table)
        return joined(table, [_numbered(name, table) for name in self.timestamp])

    def column_of(self, key: str, table: Table) -> str:
        """The column that holds ``key``, or nothing if it may be missing and is.

        Raises:
            InputError: it was named, and is missing.
        """
        named: str = getattr(self, key)
        if named:
            return _numbered(named, table)
        return key if key in table.columns else ""


def _numbered(name: str, table: Table) -> str:
    columns = table.columns
    if name not in columns and name.isdecimal() and 1 <= int(name) <= len(columns):
        name = columns[int(name) - 1]
    table.need((name,))
    return name
