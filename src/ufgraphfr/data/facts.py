"""What settings may be derived from, of the rows of a data set."""

from ufgraphfr.core.derived import DataFacts
from ufgraphfr.data.absence import second
from ufgraphfr.data.interactions import Interactions


def facts_of(rows: Interactions, users: int) -> DataFacts:
    """The public facts of some rows, of whose users so many train."""
    return DataFacts(users, rows.n_items, len(rows), dated=second(rows) is not None)
