"""Audit a finished run: replay, attack, judge, and write the figures into its folder."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ufgraphfr.audit.attacks import ATTACKS
from ufgraphfr.audit.plots import draw
from ufgraphfr.audit.recording import FinishedRun
from ufgraphfr.audit.replay import record
from ufgraphfr.audit.report import Audit, Guarantee, Line, judge
from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.run_folder import RunFolder

logger = logging.getLogger(__name__)


def audit(
    folder: Path,
    kinds: Sequence[str] = (),
    data_dir: Path | None = None,
    rounds: int = 20,
    victims: int = 50,
) -> Audit:
    """Attack a finished run, and write ``audit.json``, ``audit.md`` and plots beside its ranks.

    Args:
        folder: the run folder.
        kinds: which attacks; none means all.
        data_dir: where the data set's files lie, if the run was given one.
        rounds: how many rounds to replay after the checkpoint.
        victims: how many clients' uploads to watch.

    Raises:
        InputError: no such attack, not a finished federated run, or its data are missing.
    """
    if rounds < 1 or victims < 1:
        raise InputError(f"{rounds} rounds and {victims} victims: replay and watch at least one")
    attacks = [ATTACKS.build(kind, {}, "--attack") for kind in kinds or ATTACKS.kinds]
    run, finished = FinishedRun.open(folder, data_dir), Run(folder)
    said, guarantee = finished.guarantee, Guarantee.of(finished.result)
    recording = record(run, rounds, victims)
    lines, skipped = list[Line](), list[str]()
    for attack in attacks:
        findings = attack.run(recording)
        logger.info("attack %s: %d figures", attack.kind, len(findings))
        lines += [judge(attack.kind, attack.question, finding, guarantee) for finding in findings]
        if not findings:
            skipped.append(f"{attack.kind}: nothing to attack, {attack.otherwise}")
    done = Audit(
        name=run.experiment.name,
        algorithm=run.algorithm.kind,
        mechanism=run.experiment.mechanism.kind,
        statement=said,
        guarantee=guarantee,
        rounds=recording.rounds,
        victims=len(recording.victims),
        lines=tuple(lines),
        skipped=tuple(skipped),
    )
    place = RunFolder(folder).own
    write_atomically(place / "audit.json", done.to_json().encode())
    write_atomically(place / "audit.md", done.to_markdown().encode())
    try:
        draw(done, place)
    except MissingExtra as missing:
        logger.warning("no plots: %s", missing)
    return done
