"""Items by what people call them: ids or titles in, places in the catalogue out."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

import torch
from torch import Tensor

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.missing import present

OFFERED = 5
"""So many near names are offered where one is unknown."""


class Items:
    """The items of a catalogue, looked up by id, by title, or by part of a title."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Takes the catalogue; ids come before titles where one text is both."""
        self._catalogue = catalogue
        self._by_id = {name: place for place, name in enumerate(catalogue.items)}
        self._folded = [title.casefold() for title in catalogue.titles]
        self._by_title = dict[str, list[int]]()
        for place, title in enumerate(self._folded):
            self._by_title.setdefault(title, []).append(place)

    def place(self, name: str) -> int:
        """The place of the item with this id, or else with this title, in whatever case.

        Raises:
            InputError: there is none, or several items have the title.
        """
        if name in self._by_id:
            return self._by_id[name]
        found = self._by_title.get(name.strip().casefold(), [])
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(self._catalogue.items[place] for place in found[:OFFERED])
            raise InputError(f"{len(found)} items are called '{name}': give an id ({ids})")
        near = [self._called(place) for place in self.search(name, OFFERED)]
        offered = f"the nearest are {'; '.join(near)}" if near else "nothing is called like it"
        raise InputError(f"no item '{name}' in this run: {offered}")

    def places(self, names: Iterable[str]) -> list[int]:
        """The place of each item, in order; an item that is named again counts once."""
        return list(dict.fromkeys(self.place(name) for name in names))

    def known(self, names: Iterable[str]) -> Tensor:
        """The places of those ids that are in the catalogue, int64."""
        found = (self._by_id.get(name) for name in names)
        return torch.tensor([place for place in found if place is not None]).long()

    def has(self, name: str) -> bool:
        """Whether an item has this id."""
        return name in self._by_id

    def listed(self, text: str) -> list[str]:
        """Names out of a list with commas between them, which may be in titles as well.

        The longest run of pieces that is an item counts as one; quotation marks keep a title
        together.
        """
        if text.strip() in self._by_id or text.strip().casefold() in self._by_title:
            return [text.strip()]
        (pieces,) = csv.reader([text], skipinitialspace=True) if text.strip() else ([],)
        names, start = list[str](), 0
        while start < len(pieces):
            for end in range(len(pieces), start, -1):
                name = ", ".join(piece.strip() for piece in pieces[start:end])
                if end == start + 1 or name in self._by_id or name.casefold() in self._by_title:
                    break
            names.append(name)
            start = end
        return [name for name in names if name]

    def search(self, query: str, count: int = 10) -> list[int]:
        """Places of the items whose titles or ids are most like a query, the likest first."""
        wanted = query.strip().casefold()
        if not wanted:
            return []
        holding = [place for place, title in enumerate(self._folded) if wanted in title]
        holding.sort(key=lambda place: (self._rank(place, wanted), place))
        if not holding:
            close = get_close_matches(wanted, self._by_title, n=count, cutoff=0.5)
            holding = [place for title in close for place in self._by_title[title]]
        if not holding:
            close = get_close_matches(query.strip(), self._by_id, n=count, cutoff=0.5)
            holding = [self._by_id[name] for name in close]
        return holding[:count]

    def where(self, wanted: Mapping[str, Sequence[str]]) -> Tensor:
        """Whether each item has one of the values wanted of every feature, bool ``[items]``.

        Raises:
            InputError: no such feature, or no item has such a value.
        """
        allowed = torch.ones(len(self._folded), dtype=torch.bool)
        for name, values in wanted.items():
            if name not in self._catalogue.features:
                known = self._catalogue.features
                raise InputError(f"items have no feature '{name}': {nearest(name, known)}")
            own = [
                {each.casefold(): each for each in present(value)}
                for value in self._catalogue.features[name]
            ]
            every = {folded: each for values_of in own for folded, each in values_of.items()}
            for value in values:
                if value.casefold() not in every:
                    offered = nearest(value, every.values())
                    raise InputError(f"no item has {name} = '{value}': {offered}")
            asked = {value.casefold() for value in values}
            allowed &= torch.tensor([bool(asked & values_of.keys()) for values_of in own])
        return allowed

    def _rank(self, place: int, wanted: str) -> tuple[bool, int]:
        """Titles that begin with what is wanted come first, those with least beside it."""
        title = self._folded[place]
        return not title.startswith(wanted), len(title)

    def _called(self, place: int) -> str:
        item, title = self._catalogue.items[place], self._catalogue.titles[place]
        return f"'{title}'" if item == title else f"'{title}' ({item})"
