"""A ledger's guarantee, worked out again from its noise and its releases before anybody reads it.

Digests chain the lines to each other, and whoever rewrites the file can chain them anew. So what is
printed is not what stands there, but what follows from it.
"""

import math
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.privacy.accounted import accounting
from ufgraphfr.privacy.accounted.guarantee import Guarantee, all_others, events, replace_one
from ufgraphfr.privacy.accounted.ledger import Entry, Ledger
from ufgraphfr.privacy.accounted.secure_sum import check_nodes

EXACT, SAMPLED = 1e-6, 1e-2
"""Relative difference between versions of the accountant, without and with secret cohorts."""


def verified(ledger: Ledger) -> Guarantee | None:
    """The guarantee of a ledger, None if nothing is claimed.

    Raises:
        InputError: what stands in it does not follow from its own noise and releases.
    """
    guarantee = ledger.guarantee
    if guarantee is None or guarantee["epsilon"] is None:
        return guarantee
    try:
        wrong = _wrong(guarantee) or _overspent(guarantee, ledger.spends)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        wrong = f"it cannot be read ({type(error).__name__}: {error})"
    if wrong:
        where = ledger.path or Path("the ledger")
        raise InputError(
            f"{where}: {wrong}; the record of what was promised and spent has been altered, and "
            f"nothing is claimed from it"
        )
    return guarantee


def _wrong(guarantee: Guarantee) -> str:
    """What of a promise does not follow from its parts; empty if all does."""
    gaussians, noise = zip(*events(guarantee), strict=True)
    found: dict[str, float | None] = {
        "epsilon": accounting.spent(gaussians, noise, guarantee["delta"])
    }
    if guarantee["kind"] == "central-jdp":
        found["epsilon_replace_one"] = replace_one(gaussians, noise, guarantee["delta"])
        if guarantee["trust"] == "secure-sum":
            nodes, tolerate = guarantee["shards"], guarantee["tolerate"]
            check_nodes(nodes, tolerate, "shards")
            found["epsilon_all_others"] = all_others(
                gaussians, noise, guarantee["delta"], nodes, tolerate
            )
        most = 1 / (10 * guarantee["clients"])
        if guarantee["delta"] > most * (1 + EXACT):
            return f"delta = {guarantee['delta']:g} is above 1 / (10 clients) = {most:.2g}"
    tolerance = SAMPLED if any(part.secret for part in gaussians) else EXACT
    for name, value in found.items():
        said = guarantee[name]
        if (said is None) != (value is None):
            return f"{name} is {said}, where its noise gives {value}"
        if value is not None and not math.isclose(said, value, rel_tol=tolerance):
            return f"{name} = {said:.3g} is claimed, where its noise gives {value:.3g}"
    return ""


def _overspent(guarantee: Guarantee, spends: list[Entry]) -> str:
    """What was spent beyond a promise; empty if nothing was."""
    rounds = [(spend["round"], spend.get("attempt", 1)) for spend in spends]
    if rounds != sorted(set(rounds)):
        return "a round is paid for twice, or out of order"
    for name, part in guarantee["parts"].items():
        own = [spend for spend in spends if spend["part"] == name]
        if len(own) > part["releases"]:
            return f"{len(own)} releases of '{name}', where {part['releases']} were promised"
        least = part["noise_multiplier"]
        if any(spend.get("noise", least) < least for spend in own):
            return f"'{name}' was released with less noise than promised"
    if unknown := {spend["part"] for spend in spends} - guarantee["parts"].keys():
        return f"'{min(unknown)}' was released, and never promised"
    return ""
