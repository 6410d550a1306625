"""What of a run with a guarantee may be shared: a list of what is known to be public, and no more.

Public is what follows from the settings, the catalogue and the releases. All else stands in the
run folder's ``personal/`` alone: metrics and ranks are of held-out items, un-noised; counts, costs
and seconds depend on how much users have and on who took part; a digest of the data confirms
guesses of a single row.
"""

from typing import Any

from ufgraphfr.core.keyed import keyed

RESULT = (
    "name",
    "algorithm",
    "protocol",
    "split",
    "sequential",
    "seed",
    "metrics",
    "rounds",
    "best_round",
    "blend",
    "privacy",
    "guarantee",
    "ledger",
    "derived",
    "config_digest",
)
DATA = ("name", "items")

Document = dict[str, Any]


def shared_result(result: Document, key: bytes) -> Document:
    """A result with null for what may not be shared; the data's digest is keyed."""
    data = _only(result["data"], DATA) | {"digest": keyed_digest(result["data"], key)}
    return _only(result, RESULT) | {"data": data}


def shared_line(line: Document, expected: float | None) -> Document:
    """A round's line likewise, with how many clients were expected to take part."""
    return _only(line, ("round",)) | {"clients": expected}


def keyed_digest(data: Document, key: bytes) -> str:
    """The digest of a result's data, for who has the key."""
    return keyed(key, data.get("digest") or data["sha256"])


def _only(document: Document, names: tuple[str, ...]) -> Document:
    return {name: value if name in names else None for name, value in document.items()}
