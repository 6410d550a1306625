"""A data set with a file of items: which items there are may follow from it, and from nobody."""

from typing import Literal, Self

from ufgraphfr.data.assemble import Items
from ufgraphfr.data.sources.base import Source


class ListedSource(Source):
    """A data set that has, or may have, a file of items."""

    items_from: Literal["auto", "rows", "table"] = "auto"
    """Which items there are: those of people's rows, or all of the file of items, whose order
    they have, and rows of others are left out. ``auto`` takes the file under a privacy budget,
    as a list that follows from rows is of people, and rows otherwise."""

    @property
    def has_item_table(self) -> bool:
        """Whether there is such a file."""
        return True

    def under_budget(self) -> Self:
        """See `Source.under_budget`: the catalogue is the file of items, where there is one."""
        if not self.has_item_table or self.items_from != "auto":
            return self
        return self.model_copy(update={"items_from": "table"})

    def of_before(self) -> Self:
        """See `Source.of_before`."""
        return self.model_copy(update={"items_from": "rows"})

    @property
    def from_rows(self) -> tuple[str, ...]:
        """See `Source.from_rows`: with a file of items, which of these are left."""
        if self.items_from == "table":
            return ()
        if not self.has_item_table:
            return super().from_rows
        return (
            "Of the table of items those are left that people's rows hold, in the order of rows. "
            "An item that one person alone has says that somebody has it.",
        )

    def all_of(self, items: Items) -> tuple[str, ...] | None:
        """The items there are, of a file that gives each a title; None leaves it to the rows."""
        return tuple(items.titles) if self.items_from == "table" else None
