"""Whom a list is for, as the input of a model: users of the data's files, or anybody.

Whoever is in the files can be asked for, also users with too few interactions to train, down to a
profile alone, unless the model keeps weights of each user's own. Of anybody else a history and a
profile are enough; nothing of either is kept.
"""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.templates import attributes
from ufgraphfr.serve.items import Items
from ufgraphfr.serve.known import KnownUsers
from ufgraphfr.text import Encoder, embed
from ufgraphfr.text.base import Encode

FEW_VALUES = 60
"""An attribute with more values than this is taken to be open: any new value is as good."""


class UnknownUser(InputError):
    """No user of the data has this id."""


class People:
    """The users of a run's data, and whoever else is described."""

    def __init__(self, known: KnownUsers, encoder: Encoder, items: Items, personal: str) -> None:
        """Takes those who are known.

        Args:
            known: the users.
            encoder: of sentences about users.
            items: to look up by name.
            personal: the model's name if it keeps weights of each user's own, else empty.
        """
        self._known, self._encoder, self._items = known, encoder, items
        self._personal = personal
        self._untrained = known.untrained
        self._numbers = {name: place for place, name in enumerate(known.names)}

    def served(self) -> list[str]:
        """Ids of all users of the files whom the model can serve."""
        others = [] if self._personal else sorted(self._untrained.names)
        return [*self._numbers, *others]

    @property
    def unserved(self) -> int:
        """How many users of the files it cannot serve."""
        return len(self._untrained.names) if self._personal else 0

    def place(self, user: str) -> int | None:
        """The user's number; None for one of the files who does not train for want of rows.

        Raises:
            UnknownUser: no such user.
        """
        place = self._numbers.get(user)
        if place is None and user not in self._untrained.names:
            names = self._numbers.keys() | self._untrained.names
            near = f"{nearest(user, names)}; " if names else ""
            raise UnknownUser(f"no user '{user}' in this run: {near}{self._known.others}")
        return place

    def trained(self, user: str) -> bool:
        """Whether the model was trained with this user."""
        place = self.place(user)
        return place is not None and bool(self._known.trained[place])

    def unknown(self, user: str) -> list[str]:
        """Ids of a user's items that nobody who trains has: the model knows nothing of them."""
        if self.place(user) is not None:
            return []
        return [item for item in self._untrained.history(user) if not self._items.has(item)]

    def items(self, user: str) -> Tensor:
        """Everything the user has, held-out items included, oldest first."""
        place = self.place(user)
        if place is None:
            return self._items.known(self._untrained.history(user))
        start, end = self._known.batch.ptr[place : place + 2].tolist()
        return self._known.batch.items[start:end]

    def users(self, names: Sequence[str], at: float | None = None) -> ClientBatch:
        """Users of the files with their whole histories, in this order; ``at`` as of `Request`."""
        places = [self.place(name) for name in names]
        some = torch.tensor([place for place in places if place is not None]).long()
        found = self._known.users(some, time.time() if at is None else at)
        others = [name for name, place in zip(names, places, strict=True) if place is None]
        if not others:
            return found
        self._check_shared(
            f"user '{others[0]}' has too few interactions to train (below "
            f"{self._untrained.selection.min_user})"
        )
        texts = [self._untrained.text(name) for name in others]
        beside = self._described([self.items(name) for name in others], texts)
        # in the order asked for
        trained = torch.tensor([place is not None for place in places])
        order = torch.where(trained, trained.cumsum(0) - 1, len(found) + (~trained).cumsum(0) - 1)
        return together([found, beside]).select(order)

    def anybody(self, history: Tensor, profile: Mapping[str, str]) -> ClientBatch:
        """One who is in no file: items, oldest first, and attributes.

        Raises:
            InputError: the model cannot serve others than its users, or no such attribute.
        """
        self._check_shared("a history is not enough")
        for name in () if self._known.any_profile else profile:
            if not self._known.values:
                raise InputError(f"profile '{name}': the data of this run have no profiles")
            if name not in self._known.values:
                raise InputError(f"profile '{name}': {nearest(name, self._known.values)}")
        return self._described([history], [self.sentence(profile)])

    def sentence(self, profile: Mapping[str, str]) -> str:
        """As of users of the data; of one of whom less is known, what is known."""
        try:
            return self._untrained.describe(profile) if profile else self._untrained.unknown
        except KeyError:
            return attributes(profile)

    def unheard(self, profile: Mapping[str, str]) -> list[str]:
        """A sentence for each value that no user of the data has."""
        notes = []
        for name, value in profile.items():
            values = self._known.values.get(name, set())
            if value not in values and 0 < len(values) <= FEW_VALUES:
                near = nearest(value, values)
                notes.append(f"nobody in the data has {name} = '{value}': {near}")
        return notes

    @cached_property
    def _nobody(self) -> Tensor:
        """The vector of the sentence about one of whom nothing is known."""
        return torch.from_numpy(embed(self._encoder, [self._untrained.unknown]))

    @cached_property
    def _vectors(self) -> dict[str, Tensor]:
        """The vectors of sentences about those who are known.

        The encoder takes a second to load, and most profiles are somebody's.
        """
        pairs = zip(self._known.profiles, self._known.batch.own_text, strict=False)
        return {self.sentence(profile): vector for profile, vector in pairs}

    def warm(self) -> None:
        """Load the encoder before it is asked for."""
        _ = self._nobody, self._vectors, self._encode

    @cached_property
    def _encode(self) -> Encode:
        """The encoder with its weights in memory; nothing that it is given is kept."""
        return self._encoder.loaded()

    def _described(self, histories: Sequence[Tensor], texts: Sequence[str]) -> ClientBatch:
        batch = self._known.batch
        vectors = dict.fromkeys([self._untrained.unknown], self._nobody[0])
        others = set(texts) - vectors.keys()
        vectors |= {text: self._vectors[text] for text in others if text in self._vectors}
        if distinct := sorted(others - vectors.keys()):
            vectors |= zip(distinct, torch.from_numpy(self._encode(distinct)), strict=True)
        count = len(histories)
        return ClientBatch(
            torch.full((count,), self._known.stranger),
            pointers(torch.tensor([len(own) for own in histories])),
            torch.cat([*histories]),
            torch.zeros(count + 1, dtype=torch.long),
            torch.zeros(0, dtype=torch.long),
            torch.stack([vectors[text] for text in texts]),
            batch.n_items,
            batch.ordered,
        )

    def _check_shared(self, why: str) -> None:
        if self._personal:
            raise InputError(
                f"{why}, and '{self._personal}' keeps weights of "
                f"each user's own: a model that shares all of them, as ufgraphformer, fedrecon and "
                f"the baselines do, can serve such users"
            )


def together(batches: Sequence[ClientBatch]) -> ClientBatch:
    """The clients of all batches, one after the other; nobody trains, so nothing is excluded."""
    first = batches[0]
    if len(batches) == 1:
        return first
    clients = torch.cat([each.clients for each in batches])
    return ClientBatch(
        clients,
        pointers(torch.cat([each.counts for each in batches])),
        torch.cat([each.items for each in batches]),
        torch.zeros(len(clients) + 1, dtype=torch.long),
        first.items[:0],
        torch.cat([each.own_text for each in batches]),
        first.n_items,
        first.ordered,
        away=torch.cat([_away(each) for each in batches]),
    )


def _away(batch: ClientBatch) -> Tensor:
    """Nobody knows of whom nobody knows when it was here: it is in a visit."""
    if batch.away is None:
        return torch.zeros(len(batch), dtype=torch.float64)
    return batch.away
