"""Top-N recommendations from a run folder, as each user's device would rank them.

Whoever is in the data's files can be asked for, also users with too few interactions to train, down
to a profile alone, unless the model keeps weights of each user's own.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.protocol import Score
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.ops.ranking import top
from ufgraphfr.text import Encoder, embed


@dataclass(frozen=True)
class Recommendation:
    """One item of a list.

    Attributes:
        item: the data set's id.
        title: for people.
        score: the model's; only its order means something.
    """

    item: str
    title: str
    score: float


class Recommender:
    """A run's model at its best round, with the data it was trained on."""

    def __init__(
        self, prepared: PreparedExperiment, score: Score, encoder: Encoder, personal: str = ""
    ) -> None:
        """Takes a run's data and its model, see `open`.

        Args:
            prepared: the data.
            score: the model.
            encoder: of sentences about users.
            personal: the model's name if it keeps weights of each user's own, else empty.
        """
        self._prepared, self._score = prepared, score
        self._encoder, self._personal = encoder, personal
        self._untrained = prepared.dataset.untrained
        self._numbers = {name: place for place, name in enumerate(prepared.dataset.users.names)}

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
        prepared, experiment = run.prepared(data_dir), run.experiment
        personal = experiment.model.kind if run.checkpoint.private else ""
        return cls(prepared, run.score(prepared), experiment.encoder, personal)

    def history(self, user: str) -> list[str]:
        """Titles of everything the user interacted with, oldest first.

        Items that the model does not know, see `unknown`, are left out.

        Raises:
            InputError: no such user.
        """
        titles = self._prepared.dataset.catalogue.titles
        return [titles[item] for item in self._items(user).tolist()]

    def unknown(self, user: str) -> list[str]:
        """Ids of a user's items that nobody who trains has: the model knows nothing of them.

        Raises:
            InputError: no such user.
        """
        if self._place(user) is not None:
            return []
        known = set(self._prepared.dataset.catalogue.items)
        return [item for item in self._untrained.history(user) if item not in known]

    def trained(self, user: str) -> bool:
        """Whether the model was trained with this user.

        Raises:
            InputError: no such user.
        """
        place = self._place(user)
        return place is not None and bool(self._prepared.batch.counts[place])

    def recommend(self, user: str, count: int = 10) -> list[Recommendation]:
        """The best items that a user (the data set's id) has not seen, the best first.

        Raises:
            InputError: no such user, one whom the model cannot serve, or a count below 1.
        """
        if count < 1:
            raise InputError(f"-n {count}: ask for at least one item")
        inputs = self._input(user)
        scores = self._score(inputs).cpu()
        seen = inputs.items.unique()
        best = top(scores, count, torch.tensor([0, len(seen)]), seen)[0]
        catalogue = self._prepared.dataset.catalogue
        return [
            Recommendation(catalogue.items[item], catalogue.titles[item], float(scores[0, item]))
            for item in best.tolist()
            if item >= 0
        ]

    def _place(self, user: str) -> int | None:
        """The user's number; None for one of the files who does not train for want of rows."""
        place = self._numbers.get(user)
        if place is None and user not in self._untrained.names:
            near = nearest(user, self._numbers.keys() | self._untrained.names)
            least = self._untrained.selection.min_user
            raise InputError(
                f"no user '{user}' in this run: {near}; whoever has a row in the table of "
                f"users, or fewer than {least} interactions, can be added to the files and "
                f"asked for without training again"
            )
        return place

    def _items(self, user: str) -> Tensor:
        """Everything the user has, held-out items included, oldest first."""
        place = self._place(user)
        if place is None:
            catalogue = self._prepared.dataset.catalogue.items
            numbers = {name: item for item, name in enumerate(catalogue)}
            own = self._untrained.history(user)
            return torch.tensor([numbers[item] for item in own if item in numbers]).long()
        split = self._prepared.split
        start, end = split.history_ptr[place : place + 2]
        return torch.from_numpy(split.history[start:end])

    def _input(self, user: str) -> ClientBatch:
        """The user's shard with its whole history."""
        place, own = self._place(user), self._items(user)
        ptr = torch.tensor([0, len(own)])
        if place is not None:
            return self._prepared.batch.select(torch.tensor([place])).with_history(ptr, own)
        if self._personal:
            raise InputError(
                f"user '{user}' has too few interactions to train (below "
                f"{self._untrained.selection.min_user}), and '{self._personal}' keeps weights of "
                f"each user's own: a model that shares all of them, as ufgraphformer, fedrecon and "
                f"the baselines do, can serve such users"
            )
        text = torch.from_numpy(embed(self._encoder, [self._untrained.text(user)]))
        # a number that no client has
        client = torch.tensor([len(self._numbers)])
        nobody = torch.tensor([0, 0])
        return ClientBatch(client, ptr, own, nobody, own[:0], text, self._prepared.split.n_items)
