"""Runs side by side, and which differences mean something.

Runs that differ in their seed alone are one row. A row's difference to the first row is tested by
a bootstrap paired over users (and seeds), from the test ranks kept in the run folders; several
targets of a user are one value, their mean.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.spec import parse
from ufgraphfr.evaluation.metrics import SHOWN, metric, per_user, values
from ufgraphfr.evaluation.results import RANKINGS
from ufgraphfr.evaluation.significance import Difference, difference, holm
from ufgraphfr.experiment.config import ProtocolSpec
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.kept_ranks import computed, sparse
from ufgraphfr.experiment.prepare import same_data
from ufgraphfr.experiment.settings import flat
from ufgraphfr.experiment.stored import read_settings

TESTED = "ndcg@10"
"""The metric whose difference is tested, full ranking."""
DIFFERENCE = ("mean", "low", "high", "p_value")
VALIDATION = "validation"
"""Stands beside the test's rankings."""


@dataclass(frozen=True)
class ComparedRun:
    """A finished run: all its users, or those of whom little is known.

    ``users`` and ``ranks`` have an entry for each target of a user.
    """

    folder: Path
    group: str
    seed: int
    protocol: str
    split: ProtocolSpec
    result: dict[str, Any]
    metrics: tuple[str, ...]
    test: dict[str, dict[str, float]]
    users: NDArray[Any]
    ranks: NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """Runs of one configuration.

    Attributes:
        name: folder of the first of them.
        data: name of the data set.
        protocol: ``honest`` or ``legacy-leaky``.
        seeds: their seeds.
        metrics: which metrics to show.
        mean: test metrics averaged over seeds, e.g. ``mean["full"]["ndcg@10"]``, those of
            validation over all items, ``mean["validation"]``, and ``mean["new items"]["ndcg@10"]``
            where some were kept out.
        spread: standard deviations over seeds; NaN for one seed.
        against_first: difference to the first row in NDCG@10; None if there is no comparing.
        not_compared: why not; empty if compared.
        p_holm: its p value, corrected for how many rows are compared.
        differs: the settings in which the rows differ, by their dotted names.
    """

    name: str
    data: str
    protocol: str
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    mean: dict[str, dict[str, float]]
    spread: dict[str, dict[str, float]]
    against_first: Difference | None
    not_compared: str
    p_holm: float | None = None
    differs: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """As plain values under dotted names, for tables and files."""
        spread = {f"{name}.std": value for name, value in flat(self.spread).items()}
        found, named = self.against_first, f"{TESTED} against first"
        tested = {} if found is None else {key: getattr(found, key) for key in DIFFERENCE}
        return {
            "run": self.name,
            "data": self.data,
            "protocol": self.protocol,
            "seeds": len(self.seeds),
            **self.differs,
            **flat(self.mean),
            **spread,
            **{f"{named}: {key}": value for key, value in tested.items()},
            **({} if self.p_holm is None else {f"{named}: p_holm": self.p_holm}),
        }


def read_run(folder: Path, at_most: int | None = None, metrics: Sequence[str] = ()) -> ComparedRun:
    """Read a finished run.

    Args:
        folder: of the run.
        at_most: leave out users of whom the test knows more items.
        metrics: which to show instead of those of the run. Those of ranks are computed from the
            ranks that it kept, where it has not.

    Raises:
        InputError: no finished run there, no such user, or no such metric.
    """
    run = Run(folder)
    columns, result = run.ranks, run.result
    wanted = tuple(metric(name).name for name in metrics) or tuple(result.get("metrics", SHOWN))
    # a deployment may let none of its metrics out
    test = {ranking: (result["test"] or {}).get(ranking, {}) for ranking in RANKINGS}
    if not columns:
        if at_most is not None:
            raise InputError(
                f"{folder} holds no ranks of users (no ranks.parquet): a deployment keeps them on "
                f"the devices, so leave --at-most out"
            )
        columns = {"user": np.empty(0, np.int64), "full": np.empty(0)}
    elif at_most is not None:
        columns = sparse(columns, at_most, folder)
        test = {ranking: {} for ranking in RANKINGS}
    test = {
        ranking: computed(test[ranking], wanted, columns, ranking, result["data"]["items"])
        for ranking in RANKINGS
    }
    group, protocol = _asked(run)
    return ComparedRun(
        folder=folder,
        group=group,
        seed=result["seed"],
        protocol=result["protocol"],
        split=protocol.model_copy(update={"negatives": "honest"}),
        result=result,
        metrics=wanted,
        # neither is of these users alone
        test=test
        | {
            VALIDATION: ((at_most is None and result["validation"]) or {}).get("full", {}),
            "new items": (at_most is None and result["new_items"]) or {},
        },
        users=columns["user"],
        ranks=columns["full"],
    )


def _asked(run: Run) -> tuple[str, ProtocolSpec]:
    """What a run has in common with its other seeds, and how its data were split."""
    try:
        return run.experiment.group, run.experiment.protocol
    except InputError:
        # its model is no more as it was: its results are, beside runs of the very same settings
        settings = read_settings(run.folder)
        own = {key: value for key, value in settings.items() if key not in ("name", "seed")}
        protocol = parse(ProtocolSpec, settings.get("protocol", {}), "[protocol]")
        return json.dumps(own, sort_keys=True), protocol


def compare(
    folders: Sequence[Path], at_most: int | None = None, metrics: Sequence[str] = ()
) -> list[Row]:
    """Rows in the order of their first folder; see `read_run` for the arguments.

    With ``at_most`` coverage and new items are left out.

    Raises:
        InputError: no folder, one without a finished run, or the same run twice; no such user or
            metric.
    """
    if not folders:
        raise InputError("name at least one run folder to compare")
    groups = grouped(read_run(folder, at_most, metrics) for folder in folders)
    first = groups[0]
    rows = [_row(runs, None if runs is first else first) for runs in groups]
    tested = [row.against_first.p_value for row in rows if row.against_first is not None]
    corrected, differs = iter(holm(tested)), _differing([runs[0].folder for runs in groups])
    return [
        replace(row, differs=own, p_holm=next(corrected) if row.against_first else None)
        for row, own in zip(rows, differs, strict=True)
    ]


def _differing(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The settings of each run that are not the same in all of them; a default is not listed."""
    settings = [flat(read_settings(folder)) for folder in folders]
    names = {key for own in settings for key in own if not key.startswith("derived.")}
    names -= {"name", "seed", "schema"}
    told = sorted(key for key in names if len({str(own.get(key)) for own in settings}) > 1)
    return [{key: own[key] for key in told if key in own} for own in settings]


def grouped(runs: Iterable[ComparedRun]) -> list[list[ComparedRun]]:
    """Runs of the same settings on the same data, in the order of their first.

    Raises:
        InputError: the same seed twice.
    """
    groups: list[list[ComparedRun]] = []
    for run in runs:
        group = next((own for own in groups if _only_seed_differs(run, own[0])), [])
        if not group:
            groups.append(group)
        if run.seed in (known.seed for known in group):
            raise InputError(
                f"{run.folder} repeats a run of the same configuration and seed {run.seed}, which "
                f"says nothing new about seeds: name it once"
            )
        group.append(run)
    return groups


def _only_seed_differs(one: ComparedRun, other: ComparedRun) -> bool:
    return one.group == other.group and same_data(one.result["data"], other.result["data"])


def _row(runs: list[ComparedRun], first: list[ComparedRun] | None) -> Row:
    lead = runs[0]
    tests = [run.test for run in runs]

    def over_seeds(statistic: Callable[[list[float]], float]) -> dict[str, dict[str, float]]:
        return {
            ranking: {
                name: statistic([test[ranking][name] for test in tests])
                for name in named
                if all(name in test[ranking] for test in tests)
            }
            for ranking, named in tests[0].items()
        }

    why_not = _why_not(lead, first[0]) if first else "first"
    return Row(
        name=str(lead.folder),
        data=lead.result["data"]["name"],
        protocol=lead.protocol,
        seeds=tuple(run.seed for run in runs),
        metrics=lead.metrics,
        mean=over_seeds(lambda samples: float(np.mean(samples))),
        spread=over_seeds(_spread),
        against_first=None if why_not or not first else difference(_tested(runs), _tested(first)),
        not_compared=why_not,
    )


def _why_not(run: ComparedRun, first: ComparedRun) -> str:
    """Why two runs are not asked the same question; empty if they are."""
    if not same_data(run.result["data"], first.result["data"]):
        return "other data"
    if not (len(run.users) and len(first.users)):
        return "no ranks"
    if run.split != first.split or not np.array_equal(run.users, first.users):
        return "other split"
    return "" if run.protocol == first.protocol else "other protocol"


def _spread(samples: list[float]) -> float:
    return float(np.std(samples, ddof=1)) if len(samples) > 1 else float("nan")


def _tested(runs: list[ComparedRun]) -> NDArray[np.float64]:
    """float64 ``[seeds, users]``."""
    return np.stack([per_user(values(TESTED, run.ranks), run.users) for run in runs])
