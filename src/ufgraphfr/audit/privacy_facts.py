"""What a board has to know of a run's privacy, as facts: promised, spent, audited, not covered."""

import math
from pathlib import Path
from typing import Any

from ufgraphfr.audit.bounds import best_guess, gaussian_epsilon, gaussian_mu, pure_guess
from ufgraphfr.audit.report import read_audit
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.registry import Registry
from ufgraphfr.privacy.accounted.statement import WHO, in_words, proven, uncovered
from ufgraphfr.privacy.accounted.verified import verified

Facts = dict[str, Any]

UNPROTECTED = (
    "Each update is sent as it is, or with noise that promises nothing. Whoever reads one, the "
    "server above all, can work out which items its user has, which of them it likes, and, where a "
    "profile is learned from, age, gender and occupation: measured on MovieLens-100K, from one "
    "update, without an error.",
    "A sum over many users protects none of them: two sums that differ by one user give that "
    "user's update away.",
    "Raw data stay on the devices. What leaves them says nearly as much.",
)
"""What a run without a guarantee reveals (docs/audits.md, docs/pitfalls.md)."""


def privacy_facts(folder: Path, owner: str | None = None) -> Facts:
    """The facts of a run folder, finished or not.

    Args:
        folder: the run folder.
        owner: who answers for the run, or None.

    Raises:
        InputError: a file of the folder is damaged, or the ledger altered.
    """
    files = RunFolder(folder)
    experiment, environment = files.experiment(), files.environment_facts()
    ledger, audited = files.read_ledger(), files.own / "audit.json"
    guarantee = proven(verified(ledger))
    return {
        "name": experiment.name,
        "owner": owner,
        "started": environment.get("started"),
        "data": experiment.source.kind,
        "algorithm": experiment.model.kind,
        "version": environment.get("ufgraphfr"),
        "commit": environment.get("commit"),
        "finished": files.result.exists(),
        "guarantee": in_words(ledger.guarantee) or "no privacy guarantee",
        "promise": guarantee,
        "trust": None if guarantee is None else guarantee["trust"],
        "protects_against": None if guarantee is None else WHO[guarantee["trust"]],
        "guess": None if guarantee is None else guess(guarantee),
        "all_runs": _all_runs(ledger),
        "spent": [] if guarantee is None else spent(guarantee, ledger),
        "audit": _audit(audited) if audited.exists() else None,
        "not_covered": list(UNPROTECTED if guarantee is None else uncovered(guarantee)),
    }


def guess(guarantee: Facts) -> float:
    """How often somebody at most is right who guesses at even odds whether a user took part.

    Under local noise: which of two histories a user has.
    """
    secret = any(part["rate"] is not None for part in guarantee["parts"].values())
    epsilon, delta = guarantee["epsilon"], guarantee["delta"]
    return pure_guess(epsilon, delta) if secret else best_guess(gaussian_mu(epsilon, delta))


def _all_runs(ledger: Ledger) -> str | None:
    """What several runs on the same data have spent on this machine; None if there is one."""
    registry = Registry(())
    registry.check(ledger)
    together = registry.together(ledger)
    return str(together) if together is not None and together.runs > 1 else None


def spent(guarantee: Facts, ledger: Ledger) -> list[Facts]:
    """After each release the epsilon of everything until then, at the promised delta.

    Gaussian releases add up in mu squared, the promise's being their total; with secret cohorts
    this is an approximation.
    """
    planned = sum(
        part["releases"] / part["noise_multiplier"] ** 2 for part in guarantee["parts"].values()
    )
    mu, done, found = gaussian_mu(guarantee["epsilon"], guarantee["delta"]), 0.0, []
    for spend in ledger.spends:
        done += spend["noise"] ** -2
        epsilon = gaussian_epsilon(mu * math.sqrt(min(1.0, done / planned)), guarantee["delta"])
        found.append({"round": spend["round"], "part": spend["part"], "epsilon": epsilon})
    return found


def _audit(path: Path) -> Facts:
    document = read_audit(path)
    kept = ("failed", "summary", "rounds", "nothing_to_attack")
    return {name: document[name] for name in kept}
