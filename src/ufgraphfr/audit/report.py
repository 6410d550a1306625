"""An audit's figures, what they mean beside the run's promise, and how they are kept."""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from ufgraphfr.audit.attacks.base import Finding, View
from ufgraphfr.audit.bounds import gaussian_ceiling, gaussian_mu, pure_ceiling

SCHEMA = "ufgraphfr-audit-1"
Verdict = Literal["pass", "FAIL", "recovered", "partly", "nothing", "measured"]
MUCH, LITTLE = 0.8, 0.1
"""Of the way from chance to certainty: what is called recovered, and what is called nothing."""


@dataclass(frozen=True)
class Promise:
    """What a run promises, as far as an audit can test it.

    Attributes:
        epsilon, delta: at user level.
        ceiling: the largest AUC of a membership attack that they allow.
        trust: ``server``: the promise is on the broadcast; otherwise also on what a server sees.
    """

    epsilon: float
    delta: float
    ceiling: float
    trust: str = "server"

    @property
    def covers(self) -> tuple[View, ...]:
        """What the promise is about."""
        return ("broadcast",) if self.trust == "server" else ("broadcast", "upload")

    @classmethod
    def of(cls, result: dict[str, Any]) -> "Promise | None":
        """The promise of a ``result.json``; None without a guarantee.

        Gaussian releases have a Gaussian curve; with secret cohorts only (epsilon, delta) is left.
        """
        privacy = result["privacy"]
        if privacy is None:
            return None
        epsilon, delta = float(privacy["epsilon"]), float(privacy["delta"])
        secret = any(part["rate"] is not None for part in privacy["parts"].values())
        ceiling = (
            pure_ceiling(epsilon, delta)
            if secret
            else gaussian_ceiling(gaussian_mu(epsilon, delta))
        )
        return cls(epsilon, delta, ceiling, privacy["trust"])


@dataclass(frozen=True)
class Line:
    """One figure with its meaning.

    Attributes:
        attack: its kind.
        question: what it tried to find out.
        finding: the figure.
        ceiling: what the promise allows, or None.
        verdict: ``pass`` or ``FAIL`` where the promise bounds the figure; elsewhere what was found.
    """

    attack: str
    question: str
    finding: Finding
    ceiling: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Audit:
    """All figures of an audit of one run.

    Attributes:
        name, algorithm, mechanism: of the run.
        guarantee: of the run, in words.
        promise: in numbers, or None.
        rounds, victims: what was recorded.
        lines: the figures.
        silent: attacks that found nothing to attack, with why.
    """

    name: str
    algorithm: str
    mechanism: str
    guarantee: str
    promise: Promise | None
    rounds: int
    victims: int
    lines: tuple[Line, ...]
    silent: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a figure is above what the promise allows."""
        return any(line.verdict == "FAIL" for line in self.lines)

    def summary(self) -> list[str]:
        """What the figures say, in plain sentences."""
        leaks = [line for line in self.lines if line.verdict == "recovered"]
        seen = sorted({line.attack for line in leaks if line.finding.view == "upload"})
        told = sorted({line.attack for line in leaks if line.finding.view == "broadcast"})
        found = [f"guarantee: {self.guarantee}"]
        found.append(
            "single clients' uploads stay with their data holders: an untrusted server sees noised "
            "sums only"
            if self.promise is not None and self.promise.trust == "shard"
            else "whoever reads each client's uploads (an untrusted server) recovers: "
            + ", ".join(seen)
            if seen
            else "these attacks recover nothing for certain from single clients' uploads"
        )
        if self.promise is None:
            found.append(
                "there is no guarantee, so no ceiling: the figures say what these attacks found, "
                "and better ones may find more"
            )
        elif self.failed:
            found.append("FAIL: an attack on the broadcast reaches more than the promise allows")
        else:
            found.append(
                f"on the broadcast every attack stays below what epsilon = "
                f"{self.promise.epsilon:g} allows: consistent with the promise, never a proof of it"
            )
        if told and self.promise is None:
            found.append("whoever reads the broadcast recovers: " + ", ".join(told))
        return found

    def to_json(self) -> str:
        """As JSON; a figure that could not be measured is null."""
        promise = self.promise
        content = {
            "schema": SCHEMA,
            "name": self.name,
            "algorithm": self.algorithm,
            "mechanism": self.mechanism,
            "guarantee": self.guarantee,
            "promise": None if promise is None else vars(promise),
            "rounds": self.rounds,
            "victims": self.victims,
            "failed": self.failed,
            "summary": self.summary(),
            "figures": [_figure(line) for line in self.lines],
            "nothing_to_attack": list(self.silent),
        }
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """As a page."""
        head = f"# Audit of {self.name}\n\n{self.algorithm}, privacy: {self.mechanism}; "
        head += f"{self.rounds} rounds replayed, {self.victims} clients watched.\n\n"
        head += "".join(f"- {sentence}\n" for sentence in self.summary())
        rows = ["| attack | reads | measure | value | at least | chance | ceiling | verdict |"]
        rows.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
        rows += [f"| {line.attack} | {line.finding.view} | " + _row(line) for line in self.lines]
        notes = [
            f"- **{line.attack}**: {line.question} ({line.finding.note})" for line in _firsts(self)
        ]
        silent = [f"- {sentence}" for sentence in self.silent]
        return "\n".join([head, *rows, "", *notes, *silent, ""])


def judged(attack: str, question: str, finding: Finding, promise: Promise | None) -> Line:
    """A figure beside the promise."""
    return Line(attack, question, finding, *_verdict(finding, promise))


def _verdict(finding: Finding, promise: Promise | None) -> tuple[float | None, Verdict]:
    if promise is not None and finding.view in promise.covers:
        if finding.bounded:
            over = finding.low > promise.ceiling
            return promise.ceiling, "FAIL" if over else "pass"
        if finding.measure.startswith("epsilon"):
            return promise.epsilon, "FAIL" if finding.low > promise.epsilon else "pass"
    if finding.chance is None or finding.chance == 1 or math.isnan(finding.value):
        return None, "measured"
    way = (finding.value - finding.chance) / (1 - finding.chance)
    if way >= MUCH:
        return None, "recovered"
    return None, "nothing" if way <= LITTLE else "partly"


def number(value: float | None) -> str:
    """A figure for people."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"


def _row(line: Line) -> str:
    found = line.finding
    figures = (number(found.value), number(found.low), number(found.chance), number(line.ceiling))
    return " | ".join((found.measure, *figures, line.verdict)) + " |"


def _firsts(audit: Audit) -> list[Line]:
    """The first line of each attack."""
    return list({line.attack: line for line in reversed(audit.lines)}.values())[::-1]


def _figure(line: Line) -> dict[str, Any]:
    found = line.finding
    figures = {"value": found.value, "at_least": found.low, "chance": found.chance}
    return {
        "attack": line.attack,
        "reads": found.view,
        "measure": found.measure,
        **{name: None if v is None or math.isnan(v) else v for name, v in figures.items()},
        "ceiling": line.ceiling,
        "verdict": line.verdict,
        "note": found.note,
    }
