"""The guarantee of a run, as facts: written into the ledger before the first release."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ufgraphfr.privacy.accounted import accounting
from ufgraphfr.privacy.accounted.accounting import Gaussian
from ufgraphfr.privacy.accounted.gaussian import GaussianRelease
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.secure_sum import share
from ufgraphfr.privacy.base import ReleasePlan

Guarantee = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """What a mechanism with noised sums was asked for; the names are those of its table."""

    epsilon: float
    delta: float
    trust: str
    shards: int
    tolerate: int
    seeded_noise: bool


def central_guarantee(
    terms: Terms, plan: ReleasePlan, parts: Sequence[GaussianRelease], gaussians: Sequence[Gaussian]
) -> Guarantee:
    """The guarantee of `central-jdp`.

    Without a guarantee (noise from a seed) no epsilon is in it.
    """
    noise = [part.noise for part in parts]
    holds = not terms.seeded_noise
    masked = terms.trust == "secure-sum"
    tolerate = terms.tolerate if masked else None
    return {
        "kind": "central-jdp",
        "promise": "joint differential privacy, billboard model",
        "unit": "all data of one user",
        "adjacency": "zero-out (the number of clients is public)",
        "epsilon": accounting.spent(gaussians, noise, terms.delta) if holds else None,
        "delta": terms.delta if holds else None,
        "epsilon_replace_one": replace_one(gaussians, noise, terms.delta) if holds else None,
        "trust": terms.trust,
        "shards": terms.shards,
        "tolerate": tolerate,
        "epsilon_all_others": (
            all_others(gaussians, noise, terms.delta, terms.shards, terms.tolerate)
            if holds and masked
            else None
        ),
        "clients": plan.clients,
        "accountant": accounting.accountant_name(),
        "parts": {part.name: part_facts(part) for part in parts},
        "why": list(plan.why),
        "uncovered": list(plan.uncovered),
    }


def central_spent(ledger: Ledger) -> float | None:
    """Epsilon of all releases of `central-jdp` so far; None where nothing is promised.

    The ledger does not say who took part: of each part every release counts, up to the most that
    one user takes part in.
    """
    guarantee = ledger.guarantee
    if guarantee is None or guarantee["epsilon"] is None:
        return None
    done = Counter(spend["part"] for spend in ledger.spends)
    found = events(guarantee, done)
    return accounting.spent([part for part, _ in found], [z for _, z in found], guarantee["delta"])


def events(
    guarantee: Guarantee, done: Mapping[str, int] | None = None
) -> list[tuple[Gaussian, float]]:
    """What the accountant adds up, each with its noise for sensitivity 1.

    Args:
        guarantee: of a run.
        done: releases by part, in whose rounds one user may have been; None takes all.
    """
    # any two uploads of length 1, which local noise hides from each other, are up to 2 apart
    sensitivity = 2 if guarantee["kind"] == "ldp" else 1
    found = []
    for name, part in guarantee["parts"].items():
        times = part["participations"] if done is None else min(done[name], part["participations"])
        if times:
            found.append((Gaussian(times, part["rate"]), part["noise_multiplier"] / sensitivity))
    return found


def local_guarantee(delta: float, plan: ReleasePlan, part: GaussianRelease) -> Guarantee:
    """The guarantee of `ldp`."""
    return {
        "kind": "ldp",
        "promise": "local differential privacy",
        "unit": "all data of one user",
        "adjacency": "replace-one (any two histories)",
        "epsilon": accounting.spent([Gaussian(1)], [part.noise / 2], delta),
        "delta": delta,
        "epsilon_replace_one": None,
        "trust": "device",
        "shards": 1,
        "tolerate": None,
        "epsilon_all_others": None,
        "clients": plan.clients,
        "accountant": accounting.accountant_name(),
        "parts": {part.name: part_facts(part)},
        "why": list(plan.why),
        "uncovered": list(plan.uncovered),
    }


def all_others(
    gaussians: Sequence[Gaussian], noise: Sequence[float], delta: float, nodes: int, tolerate: int
) -> float:
    """Epsilon of a secure sum against the server and all other nodes together.

    They know every share of the noise but that of the user's own node.
    """
    own = share(nodes, tolerate) ** 0.5
    return accounting.spent(gaussians, [z * own for z in noise], delta)


def part_facts(part: GaussianRelease) -> Guarantee:
    """What the ledger allows for a part, and what it costs."""
    participation = part.participation
    return {
        "first_round": participation.release.first,
        "releases": participation.release.rounds + (participation.repeats or 0),
        "participations": participation.rounds,
        **({"repeats": participation.repeats} if participation.repeats else {}),
        "rate": participation.rate,
        "noise_multiplier": part.noise,
        "clip": part.clip if part.clip is not None else "adaptive",
        "row_cap": part.row_cap,
    }


def replace_one(
    gaussians: Sequence[Gaussian], noise: Sequence[float], delta: float
) -> float | None:
    """Epsilon if one user's data are replaced by any others: mu doubled.

    None with secret cohorts, where only the weaker group privacy would follow.
    """
    if any(part.secret for part in gaussians):
        return None
    return accounting.spent(gaussians, [z / 2 for z in noise], delta)
