"""Users of the files who do not train, as they have too few interactions, and can be served.

They are no part of a data set's digest: nothing is learned from them, so tables may gain such users
after a training.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from ufgraphfr.data.coded import Coded
from ufgraphfr.data.interactions import FILE_ORDER, Selection
from ufgraphfr.data.per_user import Names


@dataclass(frozen=True, repr=False)
class Untrained:
    """Users who are left out of training; each is looked up when it is asked for.

    Attributes:
        rows: their interactions, columns as of `assemble`, repeats included.
        profiles: attributes by name, of whoever has any.
        describe: a profile to a sentence.
        unknown: the sentence for a user without a profile.
        names: all of them.
        selection: who would have trained.
    """

    rows: pl.DataFrame = field(default_factory=lambda: pl.DataFrame({"user": [], "item": []}))
    profiles: Mapping[str, dict[str, str]] = field(default_factory=dict)
    describe: Callable[[Mapping[str, str]], str] = str
    unknown: str = ""
    names: frozenset[str] = frozenset()
    selection: Selection = FILE_ORDER

    def without(self, rows: Coded, trained: Names, others: Collection[str]) -> "Untrained":
        """Those of all rows, of the profiles and of ``others`` who are not among ``trained``."""
        left = ~rows.users.is_in(trained.series.implode())
        beside = Names({*self.profiles, *others}).series
        beside = beside.filter(~beside.is_in(trained.series.implode()))
        known = frozenset((*rows.users.filter(left), *beside))
        own = {name: self.profiles[name] for name in known & self.profiles.keys()}
        return replace(self, rows=rows.named(left.to_numpy()), profiles=own, names=known)

    def history(self, name: str) -> list[str]:
        """A user's items, oldest first."""
        own = Coded.of(self.rows.filter(pl.col("user") == name))
        places = own.ordered(own.earliest(None), self.selection.file_order)
        if own.timestamp is not None:
            places = places[np.argsort(own.timestamp[places], kind="stable")]
        return own.items.gather(own.item[places]).to_list()

    def text(self, name: str) -> str:
        """The sentence about a user."""
        profile = self.profiles.get(name)
        return self.describe(profile) if profile else self.unknown
