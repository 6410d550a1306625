"""A finished run as an object: its experiment, result, metrics, ranks, data and model."""

import json
import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet
from ufgraphfr.evaluation.protocol import Score
from ufgraphfr.experiment.checkpoint import Checkpoint
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.prepare import PreparedExperiment, data_difference, prepare
from ufgraphfr.experiment.restored import restored_score
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.experiment.schemas import RANKS, RESULT
from ufgraphfr.privacy.accounted.statement import in_words
from ufgraphfr.privacy.accounted.verified import verified


@final
class Run:
    """A finished run, read from its folder; files are read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Open a run folder.

        Raises:
            InputError: the folder holds no finished run.
        """
        self.folder = folder
        self._files = RunFolder(folder)
        if not self._files.result.exists():
            raise InputError(f"{folder} holds no finished run: train it with ufgraphfr run")

    @cached_property
    def experiment(self) -> Experiment:
        """What was run, with every setting as it was."""
        return self._files.experiment()

    @cached_property
    def result(self) -> dict[str, Any]:
        """What ``result.json`` says, in today's schema."""
        return read_result(self._files.result)

    @property
    def deployed(self) -> bool:
        """Whether nodes hold the data: a server's result names the agreement instead of them."""
        data = self.result["data"]
        return "digest" not in data and re.search(r" on \d+ nodes$", data["name"]) is not None

    @cached_property
    def guarantee(self) -> str:
        """The guarantee in one line, as it follows from the ledger.

        Raises:
            InputError: the ledger or the result has been altered.
        """
        guarantee = verified(self._files.read_ledger())
        if self.result["privacy"] not in (None, guarantee):
            raise InputError(
                f"{self._files.result} claims another guarantee than {self._files.ledger}: one of "
                f"them has been altered, and nothing is claimed from them"
            )
        return in_words(guarantee) or str(self.result["guarantee"])

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """One object for each round; none for a model without rounds."""
        return self._files.read_metrics()

    @cached_property
    def ranks(self) -> dict[str, NDArray[Any]]:
        """A column for each ranking, a row for each target; none if ranks stay on the devices."""
        if not self._files.ranks.exists():
            return {}
        columns = read_parquet(self._files.ranks)
        RANKS.check(int(np.max(columns.pop("schema", 1), initial=1)), self._files.ranks)
        return columns

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The weights at the best round."""
        return self._files.load_model(torch.device("cpu"))

    def prepared(self, data_dir: Path | None = None) -> PreparedExperiment:
        """The data it was trained on.

        Args:
            data_dir: where the data set's files lie; otherwise they are looked for where the
                experiment's own file was, as seen from the run folder.

        Raises:
            InputError: the data cannot be found, and are not fetched, or have changed.
        """
        if self.result["data"]["sha256"] is None:
            raise InputError(
                f"{self.folder} is what may be shared of a run with a guarantee, and nothing of "
                f"its data: name the run folder with personal/ in it"
            )
        if self.deployed:
            raise InputError(
                f"{self.folder} is a deployment's, whose users' rows are with its nodes: name it "
                f"where it was written, beside the server's agreement.toml"
            )
        source = self.experiment.located_source(data_dir)
        if data_dir is None and not source.at_hand:
            raise InputError(
                f"the data of {self.folder}, {source.card.title}, are not on this machine, and are "
                f"fetched for training alone: ufgraphfr data fetch {source.card.name}, or name "
                f"their folder with --data-dir"
            )
        prepared = prepare(self.experiment, data_dir)
        differs = data_difference(self.result["data"], prepared.facts)
        before = replace(self.experiment, source=self.experiment.source.of_before())
        if differs and before.located_source() != self.experiment.located_source():
            prepared = prepare(before, data_dir)
            differs = data_difference(self.result["data"], prepared.facts)
        if differs:
            raise InputError(
                f"{self.folder} was trained on other data ({differs}): name its files with "
                f"--data-dir"
            )
        return prepared

    def score(self, prepared: PreparedExperiment) -> Score:
        """The model, as each user's device scores at the best round."""
        return restored_score(self.experiment, self.checkpoint, prepared.setting)


def read_result(path: Path, in_full: bool = True) -> dict[str, Any]:
    """What a ``result.json`` says, of whatever release.

    Args:
        path: the file.
        in_full: whether to read what is personal too, where it is at hand.

    Raises:
        InputError: a newer release wrote it.
    """
    own = path.parent / "personal" / path.name
    path = own if in_full and own.exists() else path
    return RESULT.read(json.loads(path.read_text(encoding="utf-8")), path)
