"""Top-N recommendations from a run folder, as each user's device would rank them.

One engine under the command line, Python and HTTP, with one vocabulary: `Request`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners, pointers
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.protocol import at_most
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.ops.ranking import top
from ufgraphfr.serve.items import Items
from ufgraphfr.serve.model import Model
from ufgraphfr.serve.people import People
from ufgraphfr.serve.why import NAMED, in_words, influences, shares
from ufgraphfr.text import Encoder

CHUNK = 256


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        user: the data set's id; None for anybody else.
        history: ids or titles of what anybody has, oldest first.
        profile: attributes of anybody, by name.
        n: how many items.
        exclude: ids or titles of items not to list.
        where: the values of features of which an item must have one, by feature.
        seen: whether what is in the history may be listed.
        why: whether reasons are given.
    """

    user: str | None = None
    history: Sequence[str] = ()
    profile: Mapping[str, str] = field(default_factory=dict)
    n: int = 10
    exclude: Sequence[str] = ()
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seen: bool = False
    why: bool = False

    def __post_init__(self) -> None:
        """Checks what can be checked without a catalogue.

        Raises:
            InputError: no item is asked for, or both a user and somebody else.
        """
        if self.n < 1:
            raise InputError(f"n = {self.n}: ask for at least one item")
        if self.user is not None and (self.history or self.profile):
            raise InputError(
                f"user '{self.user}' has a history and a profile in the data: give a user alone, "
                f"or history and profile"
            )


@dataclass(frozen=True)
class Because:
    """An item of the history that speaks for a recommendation.

    Attributes:
        item: the data set's id.
        title: for people.
        effect: how much lower the score would be without it.
    """

    item: str
    title: str
    effect: float


@dataclass(frozen=True)
class Recommendation:
    """One item of a list.

    Attributes:
        item: the data set's id.
        title: for people.
        score: the model's; only its order means something.
        rank: 1 for the best.
        because: items of the history that speak for it, the strongest first; None if not asked for.
        shares: what each part of the model adds to the score; None if not asked for.
    """

    item: str
    title: str
    score: float
    rank: int
    because: tuple[Because, ...] | None = None
    shares: dict[str, float] | None = None

    @property
    def reason(self) -> str:
        """Both in words; empty if they were not asked for."""
        behind = [each.title for each in self.because or ()]
        return "" if self.shares is None else in_words(behind, self.shares)

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON."""
        if self.shares is None:
            kept = ("rank", "item", "title", "score")
            return {name: getattr(self, name) for name in kept}
        return {**asdict(self), "reason": self.reason}


@dataclass(frozen=True)
class Answer:
    """What is answered to a request.

    Attributes:
        history: places of the items it is based on, oldest first.
        recommended: the best items, the best first.
        notes: what else to know, a sentence each.
    """

    history: list[int]
    recommended: list[Recommendation]
    notes: list[str]


class Recommender:
    """A run's model at its best round, with the data it was trained on."""

    def __init__(self, prepared: PreparedExperiment, model: Model, encoder: Encoder) -> None:
        """Takes a run's data, its model, and the encoder of sentences about users."""
        self.prepared, self._model = prepared, model
        self.catalogue = prepared.dataset.catalogue
        self.items = Items(self.catalogue)
        self.people = People(prepared, encoder, self.items, model.personal)

    @classmethod
    def open(cls, folder: Path, data_dir: Path | None = None) -> "Recommender":
        """Load a finished run; ``data_dir`` is where its data's files lie, if it was given one.

        Raises:
            InputError: not a finished run, or its data cannot be found or have changed.
        """
        return cls.of(Run(folder), data_dir)

    @classmethod
    def of(cls, run: Run, data_dir: Path | None = None) -> "Recommender":
        """The same of a run that was opened before."""
        prepared = run.prepared(data_dir)
        return cls(prepared, Model(run, prepared), run.experiment.encoder)

    def history(self, user: str) -> list[str]:
        """Titles of everything the user interacted with, oldest first.

        Items that the model does not know, see `People.unknown`, are left out.

        Raises:
            InputError: no such user.
        """
        return [self.catalogue.titles[item] for item in self.people.items(user).tolist()]

    def recommend(self, user: str, n: int = 10) -> list[Recommendation]:
        """The best items that a user of the data has not seen, the best first; see `answer`."""
        return self.answer(Request(user=user, n=n)).recommended

    def answer(self, request: Request) -> Answer:
        """The best items for whoever is asked for.

        Raises:
            InputError: no such user, item, attribute or feature, or one whom the model cannot
                serve.
        """
        inputs = self._inputs(request)
        scores, allowed = self._model.score(inputs).cpu(), self._allowed(request)
        best = self._best(scores, inputs, allowed, request)[0]
        found = self._listed(best[best >= 0].tolist(), scores[0])
        if request.why:
            found = self._explained(found, inputs)
        notes = self._notes(request, inputs, len(found))
        return Answer(inputs.items.tolist(), found, notes)

    def similar(self, item: str, n: int = 10) -> list[Recommendation]:
        """The items that having one item speaks for most: the scores it gives, less those of none.

        Raises:
            InputError: no such item, or a model for which a history alone says nothing.
        """
        place = self.items.place(item)
        nothing = torch.zeros(0, dtype=torch.long)
        alone, none = (
            self._model.from_history(self.people.anybody(own, {})).cpu()
            for own in (torch.tensor([place]), nothing)
        )
        lift = alone - none
        if not bool((lift != lift[:, :1]).any()):
            raise InputError("this model scores all alike whatever they have: nothing is similar")
        best = top(lift, n, torch.tensor([0, 1]), torch.tensor([place]))[0]
        return self._listed(best.tolist(), lift[0])

    def each(self, users: Sequence[str], request: Request) -> Iterator[dict[str, Any]]:
        """Lists of many users of the data, a row for each item, in the order of the users.

        Args:
            users: ids.
            request: what is asked for of each; neither a person nor reasons.

        Raises:
            InputError: see `answer`.
        """
        allowed = self._allowed(request)
        items, titles = self.catalogue.items, self.catalogue.titles
        chunk = at_most(CHUNK, len(items))
        for start in range(0, len(users), chunk):
            some = users[start : start + chunk]
            inputs = self.people.users(some)
            scores = self._model.score(inputs).cpu()
            best = self._best(scores, inputs, allowed, request)
            own = scores.gather(1, best.clamp(min=0)).tolist()
            for user, places, values in zip(some, best.tolist(), own, strict=True):
                for rank, (place, score) in enumerate(zip(places, values, strict=True), 1):
                    if place >= 0:
                        found = {"item": items[place], "title": titles[place], "score": score}
                        yield {"user": user, "rank": rank, **found}

    def named(self, places: Sequence[int]) -> list[dict[str, str]]:
        """Ids and titles of some items."""
        items, titles = self.catalogue.items, self.catalogue.titles
        return [{"item": items[place], "title": titles[place]} for place in places]

    def _inputs(self, request: Request) -> ClientBatch:
        if request.user is not None:
            return self.people.users([request.user])
        history = torch.tensor(self.items.places(request.history)).long()
        return self.people.anybody(history, request.profile)

    def _allowed(self, request: Request) -> Tensor:
        """Places of the items that may be listed, ascending."""
        allowed = self.items.where(request.where)
        allowed[self.items.places(request.exclude)] = False
        return allowed.nonzero()[:, 0]

    def _best(
        self, scores: Tensor, inputs: ClientBatch, allowed: Tensor, request: Request
    ) -> Tensor:
        """Places of each client's best items, -1 where there are no more."""
        candidates = torch.full((scores.shape[1],), -1)
        candidates[allowed] = torch.arange(len(allowed))
        owner, seen = owners(inputs.ptr, len(inputs.items)), candidates[inputs.items]
        kept = (seen >= 0) & (not request.seen)
        ptr = pointers(torch.bincount(owner[kept], minlength=len(inputs)))
        best = top(scores[:, allowed], request.n, ptr, seen[kept])
        return torch.where(best >= 0, allowed[best.clamp(min=0)], -1) if len(allowed) else best

    def _listed(self, places: Sequence[int], scores: Tensor) -> list[Recommendation]:
        items, titles = self.catalogue.items, self.catalogue.titles
        return [
            Recommendation(items[place], titles[place], float(scores[place]), rank)
            for rank, place in enumerate(places, 1)
        ]

    def _explained(
        self, found: Sequence[Recommendation], inputs: ClientBatch
    ) -> list[Recommendation]:
        chosen = self.items.known(each.item for each in found)
        tried, effect = influences(self._model, inputs, chosen)
        named, explained = self.named(tried.tolist()), []
        added = shares(self._model, inputs, chosen)
        for at, each in enumerate(found):
            lowered = effect[:, at].tolist()
            strongest = sorted(range(len(tried)), key=lambda one, own=lowered: -own[one])  # type: ignore[misc]
            because = tuple(
                Because(**named[one], effect=lowered[one])
                for one in strongest[:NAMED]
                if lowered[one] > 0
            )
            explained.append(replace(each, because=because, shares=added[at]))
        return explained

    def _notes(self, request: Request, inputs: ClientBatch, found: int) -> list[str]:
        notes, user = list[str](), request.user
        if user is not None and not self.people.trained(user):
            notes.append("not among those who trained: served from items and profile alone")
        unknown = [] if user is None else self.people.unknown(user)
        if unknown:
            notes.append(f"items that nobody who trained has, which say nothing: {len(unknown)}")
        repeated = len(request.history) - len(inputs.items) if user is None else 0
        if repeated:
            notes.append(f"items that the history names again, which count once: {repeated}")
        if user is None and not len(inputs.items):
            notes.append("without a history: what new users are shown")
        if found < request.n:
            notes.append(f"{found} items are left to list, fewer than {request.n}")
        return notes + self.people.unheard(request.profile)
