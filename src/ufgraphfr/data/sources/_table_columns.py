"""Which column of a person's own files holds what."""

from typing import Any

from pydantic import field_validator

from ufgraphfr.core.spec import Spec
from ufgraphfr.data.tables import Table

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
    timestamp: str = ""
    """Numbers of one unit (seconds, milliseconds ...), ISO dates, or as ``time_format`` says."""
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
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def id_of(self, key: str, table: Table, own: str = "") -> str:
        """The column of users or items, where ``own`` is its other name in this table.

        Raises:
            InputError: it is missing.
        """
        named = own or getattr(self, key)
        if named == key and named not in table.columns and table.typed:
            named = _ATOMIC[key]
        return _numbered(named, table)

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
