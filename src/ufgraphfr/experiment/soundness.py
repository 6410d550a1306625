"""What went wrong in rounds that went on: told while it happens, and counted in the result.

Replies that validation refused, losses that are not finite or that explode, and runs in which
nobody's reply was ever accepted.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.federation.loop import Round

EXPLODED = 10.0
"""A loss so many times the first one above 0 has exploded; rounds that only collect have none."""

logger = logging.getLogger(__name__)


def watched(done_rounds: Iterator[Round], is_private: bool) -> Iterator[Round]:
    """The same rounds; each kind of trouble is told the first time.

    Args:
        done_rounds: what the federation yields.
        is_private: whether losses stay on the devices.
    """
    told: set[str] = set()
    first = 0.0
    for done in done_rounds:
        trouble = {
            f"rejected: {reason}": f"{count:,} replies were rejected ({reason})"
            for reason, count in done.rejected.items()
        }
        if not is_private and (done.clients or done.rejected) and not math.isfinite(done.loss):
            trouble["infinite"] = "the loss is not finite: try a smaller lr"
        first = first or (done.loss if done.loss > 0 else 0.0)
        if done.loss > EXPLODED * first > 0:
            trouble["exploded"] = (
                f"the loss is {done.loss:.3g}, more than {EXPLODED:g} times the first "
                f"({first:.3g}): try a smaller lr"
            )
        for kind, sentence in trouble.items():
            if kind not in told:
                logger.warning(f"round {done.number}: {sentence}")
        told |= trouble.keys()
        yield done


def rejected(lines: Sequence[dict[str, Any]]) -> dict[str, int]:
    """What validation refused over all rounds, by reason."""
    found: Counter[str] = Counter()
    for line in lines:
        found.update(line["rejected"])
    return dict(found)


def unsound(lines: Sequence[dict[str, Any]], is_private: bool) -> dict[str, Any]:
    """For a result: ``rejected`` replies by reason, and how many rounds had a bad loss.

    ``loss_not_finite`` counts rounds with replies; ``loss_exploded`` those whose loss is more than
    `EXPLODED` times the first above 0. Under a guarantee no loss leaves a device, so both are 0.
    """
    losses = [line["loss"] for line in lines if line["loss"]]
    none = [
        line for line in lines if line["loss"] is None and (line["clients"] or line["rejected"])
    ]
    return {
        "rejected": rejected(lines),
        "loss_not_finite": 0 if is_private else len(none),
        "loss_exploded": sum(loss > EXPLODED * losses[0] for loss in losses),
    }


def check_somebody(lines: Sequence[dict[str, Any]]) -> None:
    """Some reply of some round was accepted.

    Raises:
        InputError: none was, so nothing was learned.
    """
    if any(line["clients"] for line in lines):
        return
    if not lines:
        raise InputError(
            "nothing is left to run, and nothing was released: its only release is paid for and "
            "lost, and is never made twice; name another folder with --out, which pays anew"
        )
    reasons = ", ".join(f"{count:,} rejected ({why})" for why, count in rejected(lines).items())
    raise InputError(
        f"no reply was accepted in any of {len(lines):,} rounds, so nothing was learned: "
        f"{reasons or 'nobody was asked or answered'}; try a smaller lr, a larger cohort or fewer "
        f"dropouts in another folder"
    )
