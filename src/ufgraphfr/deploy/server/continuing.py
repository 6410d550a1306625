"""From one run of an agreement to the next, which goes on from the last release.

What the run before left moves to ``runs/N``, by the release that it made. The intention is written
first, so that a kill at any moment leaves something to finish.
"""

import json

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.server.folder import ServerFolder
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


def against_the_last(folder: ServerFolder) -> str | None:
    """How a finished run's model does beside the one it went on from, in one line.

    None for the first run, and where no metrics leave the nodes.
    """
    found = _both(folder)
    if found is None:
        return None
    number, now, last = found
    return (
        f"NDCG@10 on all items {now:.4f}, of release {number} it was {last:.4f}, each on "
        f"what was held out when it was trained; agent models use takes a release back"
    )


def withheld(folder: ServerFolder) -> str:
    """Why a finished run's model is not published; empty if it is, or nobody asked."""
    if not folder.if_better.exists():
        return ""
    found = _both(folder)
    if found is None:
        return "its metrics did not come, so nobody knows whether it does better"
    number, now, last = found
    if now > last:
        return ""
    return f"NDCG@10 on all items is {now:.4f}, and of release {number} it was {last:.4f}"


def _both(folder: ServerFolder) -> tuple[int, float, float] | None:
    """The release before, and NDCG@10 of this run and of that one."""
    before = continued(folder)
    if before is None:
        return None
    runs = (folder.run, folder.runs / str(before.number) / folder.run.name)
    now, last = (_tested(RunFolder(run)) for run in runs)
    return None if now is None or last is None else (before.number, now, last)


def _tested(run: RunFolder) -> float | None:
    try:
        # un-noised figures of a run under a budget are in its personal folder
        test = json.loads((run.own / "result.json").read_text(encoding="utf-8"))["test"]
        return None if test is None else float(test["full"]["ndcg@10"])
    except (OSError, KeyError, ValueError):
        return None
