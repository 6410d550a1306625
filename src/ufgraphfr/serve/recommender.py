"""Top-N recommendations from a run folder, as each user's device would rank them."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.protocol import Score
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.ops.ranking import top


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

    def __init__(self, prepared: PreparedExperiment, score: Score) -> None:
        """Takes a run's data and its model, see `open`."""
        self._prepared, self._score = prepared, score
        self._numbers = {name: place for place, name in enumerate(prepared.dataset.users.names)}

    @classmethod
    def open(cls, folder: Path, data_dir: Path | None = None) -> "Recommender":
        """Load a finished run; ``data_dir`` is where its data's files lie, if it was given one.

        Raises:
            InputError: not a finished run, or its data cannot be found or have changed.
        """
        run = Run(folder)
        prepared = run.prepared(data_dir)
        return cls(prepared, run.score(prepared))

    def history(self, user: str) -> list[str]:
        """Titles of everything the user interacted with, oldest first.

        Raises:
            InputError: no such user.
        """
        titles = self._prepared.dataset.catalogue.titles
        return [titles[item] for item in self._input(user).items.tolist()]

    def recommend(self, user: str, count: int = 10) -> list[Recommendation]:
        """The best items that a user (the data set's id) has not seen, the best first.

        Raises:
            InputError: no such user, or a count below 1.
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

    def _input(self, user: str) -> ClientBatch:
        """The user's shard with its whole history, held-out items included."""
        if user not in self._numbers:
            raise InputError(f"no user '{user}' in this run: {nearest(user, self._numbers)}")
        place = self._numbers[user]
        split = self._prepared.split
        start, end = split.history_ptr[place : place + 2]
        own = torch.from_numpy(split.history[start:end])
        batch = self._prepared.batch.select(torch.tensor([place]))
        return batch.with_history(torch.tensor([0, len(own)]), own)
