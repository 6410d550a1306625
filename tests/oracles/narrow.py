"""Settings that keep any algorithm small, whatever keys it has."""

from typing import Any

from ufgraphfr.algorithms import ALGORITHMS


def narrow(kind: str, dim: int = 8) -> dict[str, Any]:
    return {"dim": dim} if "dim" in ALGORITHMS.find(kind).model_fields else {}
