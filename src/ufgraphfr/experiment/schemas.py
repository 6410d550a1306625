"""Schemas of the files of a run folder; what older releases wrote is read as today's.

Version 1 of all but ``result.json`` is from before these files said their version.
"""

from ufgraphfr.core.versions import Document, Schema


def _unchanged(document: Document) -> Document:
    return document


def _with_baselines(result: Document) -> Document:
    """What were yardsticks; the first runs said nothing of new items and of what is sent once."""
    rest = {key: value for key, value in result.items() if key != "yardsticks"}
    later = {"cold_all": None, "new_items": None, "bytes_down_once_per_client": 0.0}
    return {**later, **rest, "baselines": result["yardsticks"]}


CONFIG = Schema("config", (_unchanged,))
"""``config.toml``, where the version is a number. Version 1 has every key with its value; later
those that differ from their defaults, and ``resolved.toml`` has all, as they were then."""
RESULT = Schema("result", (_with_baselines,))
"""``result.json``."""
METRICS = Schema("metrics", (_unchanged,))
"""A line of ``metrics.jsonl``."""
CHECKPOINT = Schema("checkpoint", (_unchanged,))
"""The metadata of ``model.safetensors`` and of ``checkpoint/``."""
RANKS = Schema("ranks", (_unchanged,))
"""``ranks.parquet``, whose column ``schema`` has the version, a number, in every row."""
