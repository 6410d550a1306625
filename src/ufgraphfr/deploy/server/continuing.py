"""From one run of an agreement to the next, which goes on from the last release.

What the run before left moves to ``runs/N``, by the release that it made. The intention is written
first, so that a kill at any moment leaves something to finish.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.metric_sums import POPULARITY
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.releases import Releases
from ufgraphfr.deploy.wire.message import Malformed
from ufgraphfr.deploy.wire.release import Release
from ufgraphfr.experiment.run_folder import RunFolder


def begin_next(folder: ServerFolder) -> Release:
    """Make room for a run that goes on from the last release.

    Returns:
        That release.

    Raises:
        InputError: the run is not finished or not published, or its budget is spent.
    """
    last, agreement = Releases(folder.releases).last(), read_agreement(folder.agreement)
    private = agreement.experiment.mechanism.budget(agreement.clients) is not None
    if private and agreement.lifetime is None:
        raise InputError(
            "the guarantee of this agreement covers one run, whose budget is spent with it: agree "
            "anew to train on, with deploy init --lifetime-epsilon for a total over all runs"
        )
    done = (folder.run / "result.json").exists()
    if done and read_metrics(folder.metrics).get("withheld"):
        raise InputError(
            f"the run in {folder.run} was not published, since it did not do better, and nodes go "
            f"on from no other: publish it with ufgraphfr deploy publish; agent models use takes a "
            f"release back"
        )
    if not done and last is not None and continued(folder) == last:
        # this has begun already
        return last
    if last is None or not done:
        raise InputError(
            f"{folder.run} has no finished and published run to go on from: see deploy status"
        )
    write_atomically(folder.continues, last.document, sync=True)
    settle(folder)
    return last


def settle(folder: ServerFolder) -> Release | None:
    """Finish what `begin_next` began; the release that the run goes on from, or None."""
    release = continued(folder)
    if release is None:
        return None
    kept = folder.runs / str(release.number)
    kept.mkdir(parents=True, exist_ok=True)
    for path in (folder.participants, folder.metrics, folder.run):
        # once it is there, what has its name here is of the run after it
        if path.exists() and not (kept / path.name).exists():
            path.rename(kept / path.name)
    return release


def continued(folder: ServerFolder) -> Release | None:
    """The release that the run goes on from; None for the first run.

    Raises:
        InputError: its file was changed.
    """
    if not folder.continues.exists():
        return None
    try:
        return Release.read(folder.continues.read_bytes())
    except Malformed as error:
        raise InputError(
            f"{folder.continues} is not as it was written ({error}): restore it from a copy"
        ) from None


GAUGES = "test_ndcg10", "test_before_ndcg10", "test_popularity_ndcg10"
"""What `RunMetrics` calls the figures of a `Drift`."""


@dataclass(frozen=True)
class Drift:
    """NDCG@10 on all items of a finished run's model, on what its users' devices held out.

    Attributes:
        now: of this run; None where no metrics came.
        number: of the release that it went on from; None for the first run.
        last: of that release, when it was trained.
        popularity: of popularity at each node, now; None where nodes do not say it.
    """

    now: float | None = None
    number: int | None = None
    last: float | None = None
    popularity: float | None = None

    @property
    def lines(self) -> list[str]:
        """The comparisons that there are, one a line."""
        said = []
        if self.now is not None and self.last is not None:
            said.append(
                f"NDCG@10 on all items {self.now:.4f}, of release {self.number} it was "
                f"{self.last:.4f}, each on what was held out when it was trained; agent models use "
                f"takes a release back"
            )
        if self.now is not None and self.popularity is not None:
            said.append(
                f"NDCG@10 on all items {self.now:.4f}, and of popularity at each node "
                f"{self.popularity:.4f}"
            )
        return said

    @property
    def gauges(self) -> dict[str, float]:
        """The figures that there are, by their names in `RunMetrics`."""
        figures = dict(zip(GAUGES, (self.now, self.last, self.popularity), strict=True))
        return {name: value for name, value in figures.items() if value is not None}


def drift(folder: ServerFolder) -> Drift:
    """How a finished run's model does beside the one it went on from, and popularity."""
    before, now = continued(folder), _tested(folder.run)
    popularity = _tested(folder.run, POPULARITY)
    if before is None:
        return Drift(now, popularity=popularity)
    last = _tested(folder.runs / str(before.number) / folder.run.name)
    return Drift(now, before.number, last, popularity)


def gauges_before(folder: ServerFolder) -> dict[str, float]:
    """The figures of the run before, which hold until this one is tested."""
    before = continued(folder)
    if before is None:
        return {}
    kept = read_metrics(folder.runs / str(before.number) / folder.metrics.name)
    return {name: kept[name] for name in GAUGES if name in kept}


def withheld(folder: ServerFolder, found: Drift) -> str:
    """Why a finished run's model is not published; empty if it is, or nobody asked."""
    if not folder.if_better.exists():
        return ""
    if found.now is None or found.last is None:
        return "its metrics did not come, so nobody knows whether it does better"
    if found.now <= found.last:
        return (
            f"NDCG@10 on all items is {found.now:.4f}, and of release {found.number} it was "
            f"{found.last:.4f}"
        )
    if found.popularity is not None and found.now <= found.popularity:
        return (
            f"NDCG@10 on all items is {found.now:.4f}, and of popularity at each node "
            f"{found.popularity:.4f}"
        )
    return ""


def _tested(path: Path, baseline: str | None = None) -> float | None:
    """NDCG@10 of the test of a run, or of a baseline beside it."""
    try:
        # un-noised figures of a run under a budget are in its personal folder
        result = json.loads((RunFolder(path).own / "result.json").read_text(encoding="utf-8"))
        test = (result if baseline is None else result["baselines"].get(baseline, {})).get("test")
        return None if test is None else float(test["full"]["ndcg@10"])
    except (OSError, KeyError, ValueError):
        return None
