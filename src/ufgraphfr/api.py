"""What people do from Python: load data, run experiments, look at runs, compare, recommend.

Everything here is offered by ``import ufgraphfr``. What the command line takes as a TOML file is a
path or a dict here; what it prints as a table is a data frame.
"""

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.frames import Frame, frame_of_columns, frame_of_rows
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.experiment.compare import compare as compare_runs
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.finished import Run as FinishedRun
from ufgraphfr.experiment.reading import Overrides, build_beside, override, read
from ufgraphfr.experiment.runner import execute
from ufgraphfr.experiment.settings import flat
from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.requests import Request


@final
class Run:
    """A finished run; its files are read when they are asked for."""

    def __init__(self, folder: str | Path, data_dir: str | Path | None = None) -> None:
        """Open a run folder; see `open_run`."""
        self._run = FinishedRun(Path(folder))
        self._data_dir = _path(data_dir)

    @property
    def folder(self) -> Path:
        """Where it is; it holds personal data."""
        return self._run.folder

    @property
    def experiment(self) -> Experiment:
        """What was run, with every setting as it was."""
        return self._run.experiment

    @property
    def result(self) -> dict[str, Any]:
        """What ``result.json`` says: test metrics, costs, guarantee."""
        return self._run.result

    @cached_property
    def metrics(self) -> Frame:
        """A row for each round; nested values are columns like ``validation.full.ndcg@10``."""
        return frame_of_rows([flat(line) for line in self._run.metrics])

    @cached_property
    def ranks(self) -> Frame:
        """A row for each user that was tested, a column for each ranking of its target."""
        return frame_of_columns(self._run.ranks)

    @cached_property
    def _recommender(self) -> Recommender:
        return Recommender.of(self._run, self._data_dir)

    def recommend(
        self,
        user: str | int | None = None,
        n: int = 10,
        *,
        history: Sequence[str] = (),
        profile: Mapping[str, str] = MappingProxyType({}),
        exclude: Sequence[str] = (),
        where: Mapping[str, Sequence[str]] = MappingProxyType({}),
        seen: bool = False,
        why: bool = False,
        at: datetime | None = None,
    ) -> Frame:
        """The best items for a user of the data, or for anybody with a history and a profile.

        Args:
            user: the data set's id, also of one who has too few interactions to train.
            n: how many.
            history: ids or titles of what anybody has, oldest first.
            profile: what is known of anybody, by name.
            exclude: ids or titles of items not to list.
            where: values of features of which an item must have one, by feature.
            seen: whether what is in the history may be listed.
            why: whether reasons are given.
            at: when the user asks, for models that ask how long it was away; None is now.

        Returns:
            Columns ``rank``, ``item``, ``title`` and ``score``; with ``why`` also ``because``
            (items of the history), ``shares`` (what each part adds to the score) and ``reason``.

        Raises:
            InputError: no such user, item, attribute or feature, one whom the model cannot serve,
                or the data cannot be found or have changed.
        """
        request = Request(
            None if user is None else str(user),
            history,
            profile,
            n,
            exclude,
            where,
            seen,
            why,
            None if at is None else at.timestamp(),
        )
        found = self._recommender.answer(request).recommended
        return frame_of_rows([each.facts for each in found])

    def similar(self, item: str, n: int = 10) -> Frame:
        """What goes with an item, by id or title; columns as of `recommend`.

        Raises:
            InputError: as of `recommend`, or the model cannot tell.
        """
        return frame_of_rows([each.facts for each in self._recommender.similar(item, n)])

    def recommend_all(self, users: Sequence[str | int] | None = None, n: int = 10) -> Frame:
        """The lists of many users of the data, by default of all whom the model can serve.

        Returns:
            A row for each item of each list: ``user``, ``rank``, ``item``, ``title``, ``score``.

        Raises:
            InputError: as of `recommend`.
        """
        served = self._recommender
        names = served.people.served() if users is None else list(map(str, users))
        return frame_of_rows(list(served.each(names, Request(n=n))))

    def history(self, user: str | int) -> list[str]:
        """Titles of everything a user interacted with, oldest first.

        Raises:
            InputError: as of `recommend`.
        """
        return self._recommender.history(str(user))

    def __repr__(self) -> str:
        """The run in a few lines."""
        result = self.result
        data, test = result["data"], result["test"]
        lines = [
            f"Run {str(self.folder)!r}: {result['algorithm']} on {data['name']}, "
            f"seed {result['seed']}",
        ]
        if test is not None:
            lines.append(
                f"  {data['users']:,} users, {data['items']:,} items, "
                f"{data['interactions']:,} interactions"
            )
            shown = ", ".join(f"{name} {value:.3f}" for name, value in test["full"].items())
            lines.append(f"  test, all items ranked: {shown}")
        return "\n".join((*lines, f"  {self._run.guarantee}"))


def load_data(kind: str, data_dir: str | Path | None = None, **keys: Any) -> Dataset:
    """Load a data set.

    Args:
        kind: as in ``[data]``, e.g. ``ml-100k`` or ``table``.
        data_dir: where its files lie; without it they are looked for in the cache, then fetched
            where the owner permits.
        keys: the other keys of ``[data]``.

    Raises:
        InputError: no such kind or key, or files that are missing or bad.
    """
    source = SOURCES.build(kind, keys, "[data]")
    return source.load(_path(data_dir))


def run(
    experiment: str | Path | Mapping[str, Any] | Experiment,
    out: str | Path | None = None,
    *,
    set: Overrides = (),
    seed: int | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    resume: bool = True,
) -> Run:
    """Train and evaluate an experiment, into a run folder.

    Args:
        experiment: a TOML file, its values as a dict, or what was read from either.
        out: the run folder; default ``runs/NAME``.
        set: other values, as ``{"algorithm.lr": 0.05}`` or ``["algorithm.lr=0.05"]``.
        seed: another seed than the experiment's.
        data_dir: where the data set's files lie.
        device: ``auto``, ``cpu`` or ``cuda``.
        resume: go on with a folder of this very experiment; a finished one is opened as it is.

    Raises:
        InputError: a wrong key or value, bad data, or a folder that must not be written.
    """
    checked = _experiment(experiment, set, seed)
    folder = Path("runs") / checked.name if out is None else Path(out)
    for _ in execute(checked, folder, _path(data_dir), resume, device):
        pass
    return Run(folder, data_dir)


def open_run(folder: str | Path, data_dir: str | Path | None = None) -> Run:
    """Open a finished run.

    Args:
        folder: the run folder.
        data_dir: where the data set's files lie, if the run was given one.

    Raises:
        InputError: the folder holds no finished run.
    """
    return Run(folder, data_dir)


def recommend(
    folder: str | Path, user: str | int, n: int = 10, data_dir: str | Path | None = None
) -> Frame:
    """See `Run.recommend`; for several users open the run once."""
    return open_run(folder, data_dir).recommend(user, n)


def compare(
    runs: Sequence[str | Path | Run], at_most: int | None = None, metrics: Sequence[str] = ()
) -> Frame:
    """Runs side by side, one row for each configuration: runs that differ in their seed are one.

    Args:
        runs: finished runs or their folders.
        at_most: only users of whom the test knows at most so many items.
        metrics: further metrics, as in ``recall@20``; those of ranks are computed from kept ranks.

    Returns:
        Means over seeds as columns like ``full.ndcg@10``, their standard deviations as
        ``full.ndcg@10.std``, the settings that differ, and the difference to the first row with
        its 95 % interval, p, and p after Holm's correction.

    Raises:
        InputError: no finished run in a folder, or the same run twice.
    """
    folders = [each.folder if isinstance(each, Run) else Path(each) for each in runs]
    return frame_of_rows([row.facts for row in compare_runs(folders, at_most, metrics)])


def _experiment(
    given: str | Path | Mapping[str, Any] | Experiment, overrides: Overrides, seed: int | None
) -> Experiment:
    """The experiment that is meant, checked."""
    if isinstance(given, str | Path):
        return read(Path(given), overrides, seed)
    read_from = given.folder if isinstance(given, Experiment) else None
    values = given.resolved() if isinstance(given, Experiment) else copy.deepcopy(dict(given))
    override(values, overrides, seed)
    return build_beside(values, read_from or Path())


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
