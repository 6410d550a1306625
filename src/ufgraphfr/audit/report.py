"""An audit's figures, what they mean beside the run's guarantee, and how they are kept."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ufgraphfr.audit.attacks.base import Finding, View
from ufgraphfr.audit.bounds import gaussian_ceiling, gaussian_mu, pure_ceiling
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.versions import Document, Schema

SCHEMA = Schema("audit")
Verdict = Literal["pass", "FAIL", "recovered", "partly", "nothing", "measured"]
RECOVERED, NOTHING = 0.8, 0.1
"""Shares of the way from chance to certainty: from where on a figure is called recovered, and up to
where it is called nothing."""


@dataclass(frozen=True)
class Guarantee:
    """What a run guarantees, as far as an audit can test it.

    Attributes:
        epsilon, delta: at user level.
        ceiling: the largest AUC of a membership attack that they allow.
        trust: ``server``: the guarantee is on the broadcast; otherwise also on what a server sees.
    """

    epsilon: float
    delta: float
    ceiling: float
    trust: str = "server"

    @property
    def covers(self) -> tuple[View, ...]:
        """The views that the guarantee bounds."""
        # of a secure sum a server sees what it broadcasts
        return ("broadcast",) if self.trust in ("server", "secure-sum") else ("broadcast", "upload")

    @classmethod
    def of(cls, result: dict[str, Any]) -> "Guarantee | None":
        """The guarantee of a ``result.json``, or None.

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
        ceiling: what the guarantee allows, or None.
        verdict: ``pass`` or ``FAIL`` where the guarantee bounds the figure; elsewhere how much was
            recovered.
    """

    attack: str
    question: str
    finding: Finding
    ceiling: float | None
    verdict: Verdict

    @property
    def judgement(self) -> str:
        """What a figure that a guarantee bounds says of it, in words; empty for others."""
        if self.verdict not in ("pass", "FAIL"):
            return ""
        found = self.finding
        at_least = "" if found.low == found.value else f", at least {number(found.low)}"
        for_or_not = "evidence" if self.verdict == "FAIL" else "no evidence"
        power = f"; {found.power}" if found.power else ""
        return (
            f"{self.attack}, {found.view}: {found.measure} {number(found.value)}{at_least}: "
            f"{for_or_not} against the {number(self.ceiling)} that is promised{power}"
        )


@dataclass(frozen=True)
class Audit:
    """All figures of an audit of one run.

    Attributes:
        name, algorithm, mechanism: of the run.
        statement: the run's guarantee in words.
        guarantee: in numbers, or None.
        rounds: how many were replayed.
        victims: how many clients' uploads were recorded.
        lines: the figures.
        skipped: attacks that found nothing to attack, with the reason.
        rows_elsewhere: whether users' rows were not at hand, as at a deployment's server.
    """

    name: str
    algorithm: str
    mechanism: str
    statement: str
    guarantee: Guarantee | None
    rounds: int
    victims: int
    lines: tuple[Line, ...]
    skipped: tuple[str, ...]
    rows_elsewhere: bool = False

    @property
    def failed(self) -> bool:
        """Whether a figure is above what the guarantee allows."""
        return any(line.verdict == "FAIL" for line in self.lines)

    def summary(self) -> list[str]:
        """What the figures say, in plain sentences."""
        sentences = [f"guarantee: {self.statement}"]
        broadcasts = self._leaks("broadcast")
        sentences.append(self._of_uploads())
        if self.guarantee is None:
            sentences.append(
                "there is no guarantee, so no ceiling: the figures say what these attacks found, "
                "and better ones may find more"
            )
            if broadcasts:
                sentences.append("whoever reads the broadcast recovers: " + broadcasts)
        elif self.failed:
            sentences.append("FAIL: an attack on the broadcast exceeds what the guarantee allows")
        else:
            sentences.append(
                f"on the broadcast every attack stays below what epsilon = "
                f"{self.guarantee.epsilon:g} allows: consistent with the guarantee, never a proof "
                f"of it"
            )
        if self.rows_elsewhere:
            sentences.append(
                "invented clients took the users' place, in this installation's code: what each "
                "node really ran is known to its operator"
            )
        return [*sentences, *filter(None, (line.judgement for line in self.lines))]

    def _of_uploads(self) -> str:
        """What single clients' uploads say to whoever reads them."""
        if self.guarantee is not None and self.guarantee.trust in ("shard", "secure-sum"):
            seen = "noised sums" if self.guarantee.trust == "shard" else "their noised total"
            return (
                f"single clients' uploads stay with their data holders: an untrusted server sees "
                f"{seen} only"
            )
        if self.rows_elsewhere:
            return (
                "what nodes send was not attacked, for want of the true rows: an exact sum over "
                "users protects none of them from the server"
            )
        if uploads := self._leaks("upload"):
            return f"whoever reads each client's uploads (an untrusted server) recovers: {uploads}"
        return "these attacks recover nothing for certain from single clients' uploads"

    def _leaks(self, view: View) -> str:
        """The attacks that recovered what they were after from a view."""
        recovered = [line for line in self.lines if line.verdict == "recovered"]
        return ", ".join(sorted({line.attack for line in recovered if line.finding.view == view}))

    def to_json(self) -> str:
        """As JSON; a figure that could not be measured is null."""
        content = {
            "name": self.name,
            "algorithm": self.algorithm,
            "mechanism": self.mechanism,
            "guarantee": self.statement,
            "promise": None if self.guarantee is None else vars(self.guarantee),
            "rounds": self.rounds,
            "victims": self.victims,
            "failed": self.failed,
            "summary": self.summary(),
            "figures": [_figure(line) for line in self.lines],
            "nothing_to_attack": list(self.skipped),
        }
        document = SCHEMA.write(content)
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """As a page."""
        head = f"# Audit of {self.name}\n\n{self.algorithm}, privacy: {self.mechanism}; "
        head += f"{self.rounds} rounds replayed, {self.victims} clients watched.\n\n"
        head += "".join(f"- {sentence}\n" for sentence in self.summary())
        rows = ["| attack | reads | measure | value | at least | chance | ceiling | verdict |"]
        rows.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
        rows += [f"| {line.attack} | {line.finding.view} | " + _row(line) for line in self.lines]
        first = {line.attack: line for line in reversed(self.lines)}
        notes = [
            f"- **{line.attack}**: {line.question} ({line.finding.note})"
            for line in reversed(first.values())
        ]
        skipped = [f"- {sentence}" for sentence in self.skipped]
        return "\n".join([head, *rows, "", *notes, *skipped, ""])


def read_audit(path: Path) -> Document:
    """What an ``audit.json`` holds, as this release would have written it.

    Args:
        path: the file.

    Raises:
        InputError: it is no audit, or a newer release wrote it.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an audit ({error}): audit the run") from None
    return SCHEMA.read(document, path)


def judge(attack: str, question: str, finding: Finding, guarantee: Guarantee | None) -> Line:
    """A figure with its ceiling and its verdict."""
    return Line(attack, question, finding, *_verdict(finding, guarantee))


def _verdict(finding: Finding, guarantee: Guarantee | None) -> tuple[float | None, Verdict]:
    """The ceiling, or None, and what the figure means."""
    if guarantee is not None and finding.view in guarantee.covers:
        if finding.bounded:
            exceeded = finding.low > guarantee.ceiling
            return guarantee.ceiling, "FAIL" if exceeded else "pass"
        if finding.measure.startswith("epsilon"):
            return guarantee.epsilon, "FAIL" if finding.low > guarantee.epsilon else "pass"
        if finding.limit is not None:
            return finding.limit, "FAIL" if finding.low > finding.limit else "pass"
    if finding.chance is None or finding.chance == 1 or math.isnan(finding.value):
        return None, "measured"
    share = (finding.value - finding.chance) / (1 - finding.chance)
    if share >= RECOVERED:
        return None, "recovered"
    return None, "nothing" if share <= NOTHING else "partly"


def number(value: float | None) -> str:
    """A figure for people."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"


def _row(line: Line) -> str:
    finding = line.finding
    figures = map(number, (finding.value, finding.low, finding.chance, line.ceiling))
    return " | ".join((finding.measure, *figures, line.verdict)) + " |"


def _figure(line: Line) -> dict[str, Any]:
    finding = line.finding
    figures = {"value": finding.value, "at_least": finding.low, "chance": finding.chance}
    return {
        "attack": line.attack,
        "reads": finding.view,
        "measure": finding.measure,
        **{name: None if v is None or math.isnan(v) else v for name, v in figures.items()},
        "ceiling": line.ceiling,
        "verdict": line.verdict,
        "judgement": line.judgement,
        "note": finding.note,
    }
