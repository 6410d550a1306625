"""Audit a finished run: replay, attack, judge, and write the figures into its folder."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ufgraphfr.audit.attacks import ATTACKS
from ufgraphfr.audit.attacks.base import Attack
from ufgraphfr.audit.plots import draw
from ufgraphfr.audit.recording import FinishedRun, Recording
from ufgraphfr.audit.replay import record, unwatched
from ufgraphfr.audit.report import Audit, Guarantee, Line, judge
from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.run_folder import RunFolder

logger = logging.getLogger(__name__)

ELSEWHERE = "not tried, it needs users' rows, which are with the nodes"


def audit(
    folder: Path,
    kinds: Sequence[str] = (),
    data_dir: Path | None = None,
    rounds: int = 20,
    victims: int = 50,
    deployed: FinishedRun | None = None,
) -> Audit:
    """Attack a finished run, and write ``audit.json``, ``audit.md`` and plots beside its ranks.

    Args:
        folder: the run folder.
        kinds: which attacks; none means all.
        data_dir: where the data set's files lie, if the run was given one.
        rounds: how many rounds to replay after the checkpoint.
        victims: how many clients' uploads to watch.
        deployed: the run of this folder as `FinishedRun.of_deployment` reads it: its users' rows
            are elsewhere, so attacks that need them are left out.

    Raises:
        InputError: no such attack, not a finished federated run, or its data are missing.
    """
    if rounds < 1 or victims < 1:
        raise InputError(f"{rounds} rounds and {victims} victims: replay and watch at least one")
    attacks = [ATTACKS.build(kind, {}, "--attack") for kind in kinds or ATTACKS.kinds]
    run, finished = deployed or FinishedRun.open(folder, data_dir), Run(folder)
    said, guarantee = finished.guarantee, Guarantee.of(finished.result)
    recording = unwatched(run) if deployed else record(run, rounds, victims)
    lines, skipped = _attacked(attacks, recording, guarantee, deployed is None)
    done = Audit(
        name=run.experiment.name,
        algorithm=run.algorithm.kind,
        mechanism=run.experiment.mechanism.kind,
        statement=said,
        guarantee=guarantee,
        rounds=recording.rounds,
        victims=len(recording.victims),
        lines=lines,
        skipped=skipped,
        rows_elsewhere=deployed is not None,
    )
    place = RunFolder(folder).own
    write_atomically(place / "audit.json", done.to_json().encode())
    write_atomically(place / "audit.md", done.to_markdown().encode())
    try:
        draw(done, place)
    except MissingExtra as missing:
        logger.warning("no plots: %s", missing)
    return done


def _attacked(
    attacks: Sequence[Attack], recording: Recording, guarantee: Guarantee | None, rows_at_hand: bool
) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """The figures, and why there are none of some attacks."""
    lines, skipped = list[Line](), list[str]()
    for attack in attacks:
        if attack.needs_rows and not rows_at_hand:
            skipped.append(f"{attack.kind}: {attack.question}: {ELSEWHERE}")
            continue
        findings = attack.run(recording)
        logger.info("attack %s: %d figures", attack.kind, len(findings))
        lines += [judge(attack.kind, attack.question, finding, guarantee) for finding in findings]
        if not findings:
            skipped.append(f"{attack.kind}: nothing to attack, {attack.otherwise}")
    return tuple(lines), tuple(skipped)
