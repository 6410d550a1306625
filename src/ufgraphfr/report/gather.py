"""What a report says of a run, read from its folder and, where they are at hand, from its data.

Under a guarantee the folder has two versions of a result: in full, in ``personal/``, and what may
be shared. A public report reads the second alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ufgraphfr.audit.privacy_facts import privacy_facts
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.split import HeldOut
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.metrics import metric
from ufgraphfr.evaluation.metrics.base import TopLists
from ufgraphfr.evaluation.protocol import EvaluationSet
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.finished import Run, read_result
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.publish import ENVIRONMENT
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.privacy.accounted.statement import statement

MOST_PAIRS = 2_000_000
"""Of user and item that are scored for lists, some seconds: shares of items are known well enough
from these."""
LEAST_USERS = 200
LIST = 10


@dataclass(frozen=True)
class Lists:
    """What users are shown: their ten best items.

    Attributes:
        top: how often each item is listed, and how many users know it.
        trained: int64 ``[items]``, how often an item is in training histories.
        users: how many users there are; ``top.users`` of them were asked.
    """

    top: TopLists
    trained: NDArray[np.int64]
    users: int


@dataclass(frozen=True)
class RunFacts:
    """All that a report says of one run.

    Attributes:
        folder: the run folder.
        experiment: what was run.
        result: as it ended; None if it has not.
        metrics: an object for each round.
        environment: versions and machine.
        privacy: see `privacy_facts`; its audit is that of the folder.
        statement: the guarantee in full, Markdown.
        pictures: of an audit, PNG by file name.
        ranks: see `Run.ranks`.
        profiles: the attributes of each user of ``ranks``; empty where the data are not at hand.
        lists: what users are shown, or None.
        missing: why there are no profiles and lists; empty if there are.
        test: whether figures of the test are shown.
        public: whether only what may be shared is told.
    """

    folder: Path
    experiment: Experiment
    result: dict[str, Any] | None
    metrics: list[dict[str, Any]]
    environment: dict[str, Any]
    privacy: dict[str, Any]
    statement: str
    pictures: dict[str, bytes] = field(default_factory=dict)
    ranks: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    profiles: tuple[Mapping[str, str], ...] = ()
    lists: Lists | None = None
    missing: str = ""
    test: bool = True
    public: bool = False

    @property
    def name(self) -> str:
        """The run's."""
        return self.experiment.name

    @property
    def guaranteed(self) -> bool:
        """Whether a guarantee covers what was released."""
        return self.privacy["promise"] is not None


def gather(
    folder: Path, data_dir: Path | None = None, test: bool = True, public: bool = False
) -> RunFacts:
    """Read a run, finished or not.

    Args:
        folder: the run folder.
        data_dir: where the data set's files lie, see `Run.prepared`.
        test: whether figures of the test are shown.
        public: whether to tell only what may be shared.

    Raises:
        InputError: it is no run folder, a file of it is damaged, or nothing of it is public.
    """
    files = RunFolder(folder)
    if not files.config.exists():
        raise InputError(f"{folder} is no run folder: name one that ufgraphfr run has written")
    privacy = privacy_facts(folder)
    if public and privacy["promise"] is None:
        raise InputError(
            f"{folder} has no privacy guarantee, so nothing of it is public: leave out --public, "
            f"and keep the report to yourself"
        )
    found = RunFacts(
        folder=folder,
        experiment=files.experiment(),
        result=_result(files, public),
        metrics=[] if public else files.read_metrics(),
        environment=_environment(files, public),
        privacy=privacy | ({"audit": None, "started": None} if public else {}),
        statement=statement(files.read_ledger()),
        test=test,
        public=public,
    )
    if public or found.result is None:
        return found
    pictures = {path.name: path.read_bytes() for path in sorted(files.own.glob("audit*.png"))}
    return _with_data(replace(found, pictures=pictures), data_dir)


def _result(files: RunFolder, public: bool) -> dict[str, Any] | None:
    if not files.result.exists():
        return None
    return read_result(files.result, in_full=not public)


def _environment(files: RunFolder, public: bool) -> dict[str, Any]:
    facts = files.environment_facts()
    return {name: facts[name] for name in ENVIRONMENT if name in facts} if public else facts


def _with_data(found: RunFacts, data_dir: Path | None) -> RunFacts:
    """With what follows from the data set, if it can be found and is the same."""
    run = Run(found.folder)
    if run.deployed:
        ranks = run.ranks if found.test else {}
        return replace(found, ranks=ranks, missing="the users' rows are with the nodes")
    try:
        prepared = run.prepared(data_dir)
        lists = _lists(run, prepared, "test" if found.test else "validation")
    except InputError as error:
        return replace(found, ranks=run.ranks if found.test else {}, missing=str(error))
    ranks = run.ranks if found.test else {}
    users = prepared.dataset.users
    place = {name: number for number, name in enumerate(users.names)}
    named = (place.get(str(name)) for name in ranks.get("user", ()))
    profiles = tuple({} if user is None else users.profiles[user] for user in named)
    return replace(found, ranks=ranks, profiles=profiles, lists=lists)


def _lists(run: Run, prepared: PreparedExperiment, part: HeldOut) -> Lists:
    asked: EvaluationSet = getattr(prepared, part)
    total = len(asked.clients)
    most = max(LEAST_USERS, MOST_PAIRS // prepared.split.n_items)
    places = torch.linspace(0, total - 1, min(total, most)).long()
    some = EvaluationSet(asked.clients.select(places), asked.targets[places], asked.rivals[places])
    score, chunk = run.score(prepared), run.experiment.evaluation.chunk
    found = evaluate(score, some, chunk, (metric(f"coverage@{LIST}"),))
    trained = np.bincount(prepared.split.train, minlength=prepared.split.n_items)
    return Lists(found.lists[LIST], trained, total)
