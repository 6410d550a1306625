"""Top-N recommendations from a run folder, as each user's device would rank them."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.protocol import Score
from ufgraphfr.experiment.population import restored_score
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.restore import finished_experiment, prepared_as_trained
from ufgraphfr.experiment.run_folder import RunFolder, load_checkpoint
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
        """Prefer `open`."""
        self._prepared, self._score = prepared, score
        self._numbers = {name: place for place, name in enumerate(prepared.dataset.users.names)}

    @classmethod
    def open(cls, folder: Path, data_dir: Path | None = None) -> "Recommender":
        """Load a finished run.

        Args:
            folder: the run folder.
            data_dir: where the data set's files lie, if the run was given one.

        Raises:
            InputError: not a finished run, or its data cannot be found or have changed.
        """
        run = RunFolder(folder)
        experiment = finished_experiment(run)
        prepared = prepared_as_trained(run, experiment, data_dir)
        checkpoint = load_checkpoint(run.model, torch.device("cpu"))
        return cls(prepared, restored_score(experiment, checkpoint, prepared.setting))

    def history(self, user: str) -> list[str]:
        """Titles of everything the user interacted with, oldest first.

        Raises:
            InputError: no such user.
        """
        titles = self._prepared.dataset.catalogue.titles
        return [titles[item] for item in self._input(user).items.tolist()]

    def recommend(self, user: str, count: int = 10) -> list[Recommendation]:
        """The best items the user has not seen, the best first.

        Args:
            user: the data set's id.
            count: how many.

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
        """The user's batch with its whole history, held-out items included."""
        if user not in self._numbers:
            raise InputError(f"no user '{user}' in this run: {nearest(user, self._numbers)}")
        place = self._numbers[user]
        split = self._prepared.split
        start, end = split.history_ptr[place : place + 2]
        own = torch.from_numpy(split.history[start:end])
        batch = self._prepared.batch.select(torch.tensor([place]))
        return batch.with_history(torch.tensor([0, len(own)]), own)
