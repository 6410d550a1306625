"""What a run shows while it works: a live line on a terminal, plain lines elsewhere."""

import datetime
import logging
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Display

from ufgraphfr.evaluation.steps import STEPS
from ufgraphfr.experiment.training import Progress

BAR_FROM_WIDTH = 100
"""A narrower terminal has no room for the bar."""
SILENT_SECONDS = 60.0
"""After which a log has a line even without a validation."""
LATEST = 32
"""Rounds from which the time left is told."""


@dataclass(frozen=True)
class Line:
    """One round as people read it.

    Attributes:
        round, rounds: where the run is.
        evaluated: whether this round was evaluated.
        text: round, loss, last validation, speed and time left.
        begins: whether it is the first of a phase that does not train.
    """

    round: int
    rounds: int
    evaluated: bool
    text: str
    begins: bool = False


def lines(steps: Iterator[Progress]) -> Iterator[Line]:
    """A line for each round; speed and time left are means over the latest rounds of its phase.

    The first rounds may do something else (collect a graph), and take another time: what is left
    then is until the last of them.
    """
    latest, validation = deque[Progress](maxlen=LATEST), "-"
    for step in steps:
        begins = not latest or latest[-1].phase != step.phase
        if begins:
            latest.clear()
        latest.append(step)
        clients = sum(each.clients or 0 for each in latest)
        seconds, count = sum(each.seconds for each in latest), len(latest)
        if step.validation is not None:
            validation = _shown(step.validation["full"].get("ndcg@10", math.nan))
        rate = clients / max(seconds, 1e-9)
        speed = f"{rate:{',.1f' if rate < 10 else ',.0f'}} clients/s  "
        end = step.rounds if step.phase_end is None else step.phase_end
        left = datetime.timedelta(seconds=round((end - step.round) * seconds / count))
        width = len(str(step.rounds))
        where = f"round {step.round:{width}}/{step.rounds}  "
        if step.phase:
            until = f" until round {end}" if end < step.rounds else ""
            text = f"{where}{step.phase}  ETA {left}{until}"
            yield Line(step.round, step.rounds, step.validation is not None, text, begins)
            continue
        yield Line(
            round=step.round,
            rounds=step.rounds,
            evaluated=step.validation is not None,
            text=f"{where}loss {_shown(step.loss)}  "
            f"val NDCG@10 {validation}  {'' if step.clients is None else speed}ETA {left}",
        )


def _shown(value: float) -> str:
    """A loss that stayed on the devices is no number."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def watch(console: Console, steps: Iterator[Progress]) -> None:
    """Run the steps to their end and show them."""
    if console.is_terminal and not console.quiet:
        _live(console, steps)
        return
    shown_at = time.monotonic()
    for line in lines(steps):
        if line.evaluated or line.begins or time.monotonic() - shown_at >= SILENT_SECONDS:
            console.print(line.text, highlight=False, soft_wrap=True)
            shown_at = time.monotonic()


class _Ranking(logging.Handler):
    """Shows how far an evaluation is."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.DEBUG)
        self._display = display
        self._bar = display.add_task("ranking users", visible=False)

    def emit(self, record: logging.LogRecord) -> None:
        """See `evaluation.steps`."""
        if isinstance(record.args, tuple) and len(record.args) == 2:
            done, total = (int(str(each)) for each in record.args)
            text = f"ranking users: {done:,} of {total:,}"
            going_on = done < total
            self._display.update(
                self._bar, total=total, completed=done, description=text, visible=going_on
            )


@contextmanager
def _ranking(display: Display) -> Iterator[None]:
    """Listen to evaluations while a display is shown."""
    handler, level = _Ranking(display), STEPS.level
    STEPS.addHandler(handler)
    STEPS.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        STEPS.removeHandler(handler)
        STEPS.setLevel(level)


def _live(console: Console, steps: Iterator[Progress]) -> None:
    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}")]
    if console.width >= BAR_FROM_WIDTH:
        columns.append(BarColumn(bar_width=min(40, console.width - 82)))
    with Display(*columns, console=console, transient=True) as display, _ranking(display):
        bar = display.add_task("loading data and texts, then the first round", total=None)
        for line in lines(steps):
            if line.round == line.rounds:
                text = f"round {line.round}/{line.rounds} done; testing, with baselines"
                display.update(bar, total=line.rounds, completed=line.round, description=text)
            else:
                display.update(bar, total=line.rounds, completed=line.round, description=line.text)
            if line.evaluated:
                display.console.print(line.text, highlight=False, style="dim")
