"""A copy of a shard, and what a shard that was restored from one may still do.

What the copy lacks may have been released. So under a guarantee everybody at the node is charged
for all that the runs since may have spent, the node sits out the run that may be under way, and
takes part again in the next one.
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from ufgraphfr.core.archives import read_archive, write_archive
from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.enrolment import run_key
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.pad_book import PadBook
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agreement.chain import folder_of
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.guarantee import shard_mechanism
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.privacy.accounted.ledger import Ledger

BARRED = "sits out"
"""Counter: runs below this number are answered no longer; 0 bars none."""


def back_up(folder: ShardFolder, file: Path) -> None:
    """Write a copy of a shard, also while its agent runs.

    Raises:
        InputError: the folder is none, or the file cannot be written.
    """
    folder.signed()
    with tempfile.TemporaryDirectory(dir=folder.path) as scratch:
        copy = ShardFolder(Path(scratch))
        # first: a database may be ahead of its ledger, and not behind
        if folder.ledger.exists():
            copy.ledger.write_bytes(folder.ledger.read_bytes())
        if folder.database.exists():
            with (
                closing(sqlite3.connect(folder.database)) as source,
                closing(sqlite3.connect(copy.database)) as target,
            ):
                source.backup(target)
        kept = [folder.agreement, folder.catalogue, folder.node, folder.agreed, folder.tokens]
        kept += [folder_of(folder.agreement), folder.models, copy.ledger, copy.database]
        # without the record of used pads: a shard that comes back begins another epoch of them
        kept.append(PadBook(folder.path).key_file)
        write_archive(file, {path.name: path for path in kept})


def restore(folder: ShardFolder, file: Path, release: int | None, nothing_since: bool) -> list[str]:
    """Put a copy of a shard in place.

    Args:
        folder: without users.
        file: that `back_up` wrote.
        release: the newest one that the server has published; 0 for none.
        nothing_since: whether the agent has answered nothing since the copy was made.

    Returns:
        What to do next, for people.

    Raises:
        InputError: users are there, or the copy is none; or there is a guarantee, and nobody says
            what the copy may lack.
    """
    if folder.database.exists() or folder.ledger.exists():
        raise InputError(f"{folder.path} holds a shard: move it away before a copy comes there")
    with tempfile.TemporaryDirectory() as scratch:
        read_archive(file, Path(scratch), folder.node.name)
        _, agreement, _ = ShardFolder(Path(scratch)).signed()
    private = agreement.experiment.mechanism.budget(agreement.clients) is not None
    if private and release is None and not nothing_since:
        raise InputError(
            "there is a guarantee, and what the copy lacks may have been released: say --release "
            "N, the newest one that the server has published (deploy status; 0 for none), or "
            "--nothing-since if the agent has answered nothing since the copy was made"
        )
    folder.path.mkdir(mode=0o710, parents=True, exist_ok=True)
    read_archive(file, folder.path, folder.node.name)
    folder.database.chmod(0o600)
    folder.held.touch()
    store = ShardStore(folder.database)
    told = [f"restored {len(store.names()):,} users; what came since is imported again"]
    if private and not nothing_since:
        _charge(folder, store, release or 0)
        told += _words(folder.name, agreement)
    return [*told, "start the agent's unit; agent doctor says what is missing here"]


def _charge(folder: ShardFolder, store: ShardStore, release: int) -> None:
    """Everybody pays for what the runs up to that of a release may have spent."""
    _, agreement, catalogue = folder.signed()
    setting, ledger = agreement.setting(catalogue, embed_titles=False), Ledger(None)
    algorithm, noised = model_in_use(agreement.experiment, setting), agreement.metrics == "noised"
    shard_mechanism(agreement.experiment, algorithm, agreement.clients, ledger, noised)
    guarantee = ledger.guarantee
    assert guarantee is not None
    pinned = store.answers.pinned(agreement.root)
    begun = int(pinned.partition(".")[2] or 0)
    with store.transaction():
        for number in range(begun, release + 1):
            key = run_key(agreement, f"run.{number}" if number else "run")
            store.participations.charge(key, guarantee)
        store.raise_counter(BARRED, release + 1)
        # the next run that it answers is its first
        store.answers.unpin(agreement.root)


def _words(name: str, agreement: Agreement) -> list[str]:
    if agreement.lifetime is None:
        return [
            "the budget is that of one run, which this node may have answered: it serves what it "
            "has and releases nothing again; agree anew to train"
        ]
    return [
        "everybody here is charged for all of the runs since, and this node sits out the run that "
        "may be under way; it takes part in the next one",
        f"ask the server's operator for: ufgraphfr deploy readmit FOLDER {name}",
    ]
