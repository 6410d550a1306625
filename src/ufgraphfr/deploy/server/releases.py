"""The releases that a server has published, and how each reaches the nodes.

A release is made once for a model: publishing it again sends the same one to whoever lacks it.
"""

import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.messages import State, Task
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.lifetime import in_runs
from ufgraphfr.deploy.server.metrics import RunMetrics
from ufgraphfr.deploy.server.nodes import Nodes
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.wire.message import Malformed
from ufgraphfr.deploy.wire.payload import digest, shared_arrays
from ufgraphfr.deploy.wire.release import Release
from ufgraphfr.experiment.checkpoint import load_checkpoint
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.statement import in_words, statement

logger = logging.getLogger(__name__)
DOCUMENT = "release.json"


class Releases:
    """The releases of a server's folder, each in a folder of its own, by number."""

    def __init__(self, path: Path) -> None:
        """Names the folder; it is made with the first release."""
        self._path = path

    def last(self) -> Release | None:
        """The newest release; None before the first.

        Raises:
            InputError: its file was changed.
        """
        folders = [path.parent for path in self._path.glob(f"*/{DOCUMENT}")]
        names = [path.name for path in folders if re.fullmatch("[1-9]\\d*", path.name)]
        if not names:
            return None
        path = self._path / max(names, key=int) / DOCUMENT
        try:
            return Release.read(path.read_bytes())
        except (OSError, Malformed) as error:
            raise InputError(
                f"{path} is not as it was written ({error}): restore it from a copy, since what "
                f"comes next names it"
            ) from None

    def memory(self, release: Release) -> State:
        """The server's whole memory as of a release, to go on from.

        Raises:
            InputError: it cannot be read.
        """
        path = self._path / str(release.number) / RunFolder(self._path).model.name
        return load_checkpoint(path, torch.device("cpu")).server

    def make(self, candidate: Release, model: Path) -> Release:
        """The release of a model: the last one if it is the same, else a new one.

        Args:
            candidate: what is known of it, but number and parent.
            model: the file of the model, which is kept beside it.
        """
        last = self.last()
        if last is not None:
            if replace(candidate, number=last.number, parent=last.parent) == last:
                return last
            candidate = replace(candidate, number=last.number + 1, parent=last.digest)
        folder = self._path / str(candidate.number)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model, folder / model.name)
        # last of all: without it there is no release
        write_atomically(folder / DOCUMENT, candidate.document, sync=True)
        logger.info("made release %d, %s", candidate.number, candidate.digest)
        return candidate


def publish(
    agreement: Agreement,
    setting: Setting,
    participants: Participants,
    nodes: Nodes,
    metrics: RunMetrics,
    run: RunFolder,
    releases: Releases,
) -> tuple[Release, list[str]]:
    """Publish the model of a finished run to every node that takes part.

    Returns:
        The release, and the names of the nodes that do not have it.
    """
    best = run.load_model(torch.device("cpu"))
    algorithm = model_in_use(agreement.experiment, setting)
    tasks = {
        node: scoring_task(algorithm, best.server, clients, best.round + 1)
        for node, clients in participants.asked.items()
    }
    release = releases.make(_candidate(agreement, participants, run, tasks), run.model)
    more = {"release": release.facts}
    requests = {
        node: partial(nodes.envelope, "publish", node, best.round, task, more)
        for node, task in tasks.items()
    }
    missing = set(tasks)
    for node, request, reply in nodes.replies(requests, best.round):
        if reply.facts.get("release") == release.digest:
            missing.discard(node)
            metrics.evaluated(request.size, 0)
        else:
            metrics.rejected(node, "it does not say that it has the release")
    return release, sorted(missing)


def _statement(agreement: Agreement, ledger: Ledger) -> str:
    """Of the run and, where there is one, of the total that its agreement names."""
    lifetime = agreement.lifetime
    if lifetime is None:
        return statement(ledger)
    return f"{statement(ledger)}\n{in_runs(agreement.experiment, lifetime)}\n"


def _candidate(
    agreement: Agreement, participants: Participants, run: RunFolder, tasks: Mapping[str, Task]
) -> Release:
    """What is known of a run's model, before it has a number."""
    task, ledger = next(iter(tasks.values())), run.read_ledger()
    return Release(
        number=1,
        # the one it was trained under, whatever was amended since
        agreement=participants.agreement or agreement.root,
        run=participants.run,
        round=task.round - 1,
        parent="",
        guarantee=in_words(ledger.guarantee) or agreement.experiment.mechanism.guarantee,
        statement=_statement(agreement, ledger),
        arrays={name: digest(value) for name, value in shared_arrays(task).items()},
    )
