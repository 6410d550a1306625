"""A deployment's run, from its folder to its result; whatever engine carries the envelopes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agreement.chain import read_documents
from ufgraphfr.deploy.agreement.software import check_software
from ufgraphfr.deploy.server.attempts import Attempts
from ufgraphfr.deploy.server.continuing import drift, gauges_before, settle, withheld
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.handshake import handshake, wait_for_nodes
from ufgraphfr.deploy.server.ledger_heads import LedgerHeads
from ufgraphfr.deploy.server.liveness import (
    PAUSED,
    STOPPED,
    Stopped,
    forget_wishes,
    living,
    pausing,
)
from ufgraphfr.deploy.server.metrics import RunMetrics
from ufgraphfr.deploy.server.participants import Participants
from ufgraphfr.deploy.server.prometheus import Exporter
from ufgraphfr.deploy.server.releases import Releases
from ufgraphfr.deploy.server.remote_clients import RemoteClients
from ufgraphfr.deploy.wire.engine import Engine
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.experiment.runner import execute


def run(folder: ServerFolder, engine: Engine) -> None:
    """Start the run of a folder, or resume it, and publish its model.

    It ends early where the operator wishes a pause, after a round that is kept, or a stop, at once.

    Raises:
        InputError: why it cannot be run; `deploy watch` shows it too.
    """
    with living(folder):
        forget_wishes(folder)
        with suppress(Stopped):
            _run(folder, engine)


def _run(folder: ServerFolder, engine: Engine) -> None:
    settings = folder.read_settings()
    agreement, catalogue = read_documents(folder.agreement, folder.catalogue)
    check_software(agreement)
    experiment, releases = agreement.experiment, Releases(folder.releases)
    continued = settle(folder)
    metrics = RunMetrics(folder.metrics, experiment.federation.rounds)
    metrics.update(**gauges_before(folder))
    with closing(Exporter(folder.metrics, settings.metrics_port)), _telling(metrics):
        heads = LedgerHeads(folder.ledger_heads)
        if not folder.participants.exists():
            parties = handshake(agreement, engine, settings, heads, continued)
            parties.write(folder.participants)
        participants = Participants.read(folder.participants).under(agreement)
        if not (folder.run / "result.json").exists():
            wait_for_nodes(set(participants.asked), engine, settings)
        users = sum(map(len, participants.asked.values()))
        metrics.update(nodes=len(participants.asked), users=users, state="running")
        attempts = Attempts(folder.attempts, participants.run)
        remote = RemoteClients(
            *(agreement, catalogue, engine, settings, participants, metrics, heads, attempts),
            before=None if continued is None else releases.memory(continued),
        )
        for step in execute(experiment, folder.run, resume=True, device="cpu", population=remote):
            metrics.progress(step)
            if pausing(folder):
                metrics.update(state=PAUSED)
                return
        found = drift(folder)
        metrics.update(**found.gauges)
        if why := withheld(folder, found):
            metrics.update(state="finished", withheld=why, rounds=experiment.federation.rounds)
            return
        metrics.update(state="publishing", rounds=experiment.federation.rounds)
        release, missing = remote.publish(RunFolder(folder.run), releases)
        metrics.update(release=release.number, unpublished=missing)
        metrics.update(state="finished")


@contextmanager
def _telling(metrics: RunMetrics) -> Iterator[None]:
    """Say in the counters why a run ended early."""
    try:
        yield
    except Stopped:
        metrics.update(state=STOPPED)
        raise
    except InputError as error:
        metrics.update(state=str(error))
        raise
    except Exception as error:
        metrics.update(state=f"{type(error).__name__}: see the server's log")
        raise
