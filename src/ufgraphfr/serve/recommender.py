"""Top-N recommendations from a run folder, as each user's device would rank them.

One engine under the command line, Python and HTTP, with one vocabulary: `Request`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners, pointers
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.evaluation.protocol import at_most
from ufgraphfr.experiment.finished import Run
from ufgraphfr.ops.ranking import top
from ufgraphfr.serve.items import Items
from ufgraphfr.serve.known import KnownUsers
from ufgraphfr.serve.model import Model
from ufgraphfr.serve.people import People, together
from ufgraphfr.serve.requests import Answer, Because, Recommendation, Request
from ufgraphfr.serve.why import NAMED, influences, shares
from ufgraphfr.text import Encoder

if TYPE_CHECKING:
    from ufgraphfr.deploy.agent.folder import ShardFolder

CHUNK = 256


class Recommender:
    """A trained model with the users it knows: those of a run's data, of a node, or none."""

    def __init__(
        self, catalogue: Catalogue, known: KnownUsers, model: Model, encoder: Encoder
    ) -> None:
        """Takes the items, the users, the model, and the encoder of sentences about users."""
        self._model, self.catalogue = model, catalogue
        self.items = Items(self.catalogue)
        self.people = People(known, encoder, self.items, model.personal)

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
        server = ServerFolder(run.folder.resolve().parent)
        if server.agreement.exists() and server.catalogue.exists():
            # what only a deployment needs takes a while to import
            from ufgraphfr.serve.deployed import at_server

            return cls(*at_server(run, data_dir))
        prepared = run.prepared(data_dir)
        model = Model.of(run, prepared.setting)
        known = KnownUsers.of(prepared)
        return cls(prepared.dataset.catalogue, known, model, run.experiment.encoder)

    @classmethod
    def at_node(cls, folder: "ShardFolder") -> "Recommender":
        """The release that a deployment's node serves, for its users.

        Raises:
            InputError: there is none, or it cannot be served.
        """
        from ufgraphfr.serve.deployed import at_node

        return cls(*at_node(folder))

    def warm(self) -> None:
        """Work out what all requests need, before the first one waits for it."""
        self.people.warm()
        users = self.people.served()[:1]
        nothing = torch.zeros(0, dtype=torch.long)
        self._model.score(self.people.users(users) if users else self.people.anybody(nothing, {}))

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
        (found,) = self.answers([request])
        if isinstance(found, InputError):
            raise found
        return found

    def answers(self, requests: Sequence[Request]) -> list[Answer | InputError]:
        """Of several at once, in their order; for one that cannot be answered, why.

        The model scores them together, which takes little longer than one of them.
        """
        found, asked = dict[int, Answer | InputError](), list[tuple[int, ClientBatch, Tensor]]()
        for place, request in enumerate(requests):
            try:
                asked.append((place, self._inputs(request), self._allowed(request)))
            except InputError as error:
                found[place] = error
        chunk = at_most(CHUNK, len(self.catalogue.items))
        for start in range(0, len(asked), chunk):
            some = asked[start : start + chunk]
            scores = self._model.score(together([inputs for _, inputs, _ in some])).cpu()
            for (place, inputs, allowed), own in zip(some, scores.split(1), strict=True):
                found[place] = self._answered(requests[place], inputs, allowed, own)
        return [found[place] for place in range(len(requests))]

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
            inputs = self.people.users(some, request.at)
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
            return self.people.users([request.user], request.at)
        history = torch.tensor(self.items.places(request.history)).long()
        return self.people.anybody(history, request.profile)

    def _allowed(self, request: Request) -> Tensor:
        """Places of the items that may be listed, ascending."""
        allowed = self.items.where(request.where)
        allowed[self.items.places(request.exclude)] = False
        return allowed.nonzero()[:, 0]

    def _answered(
        self, request: Request, inputs: ClientBatch, allowed: Tensor, scores: Tensor
    ) -> Answer:
        best = self._best(scores, inputs, allowed, request)[0]
        found = self._listed(best[best >= 0].tolist(), scores[0])
        if request.why:
            found = self._explained(found, inputs)
        notes = self._notes(request, inputs, len(found))
        return Answer(inputs.items.tolist(), found, notes)

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
