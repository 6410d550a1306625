"""Versions of the files of a run folder: what is written today, and what older ones are read as.

A file says ``schema``; one that says nothing is of version 1, before files said it. Files of a
version that came later are refused: their meaning is not known here.
"""

from ufgraphfr.core.errors import InputError

CONFIG = 2
"""config.toml. 1: every key with its value. 2: the keys that differ from their defaults; all of
them, as they were then, are in resolved.toml."""
RESULT = "ufgraphfr-result-2"
"""result.json. 1: ``yardsticks``, ``config_digest``. 2: ``baselines``, and a digest of
what differs from the defaults."""
METRICS = "ufgraphfr-metrics-2"
"""A line of metrics.jsonl. 1: the same without ``schema``."""
CHECKPOINT = "ufgraphfr-checkpoint-2"
"""model.safetensors and checkpoint/. 1: the same without ``schema``."""
RANKS = 2
"""ranks.parquet, in every row of its column ``schema``. 1: the same without it."""


def version_of(found: object, newest: int | str, where: object) -> int:
    """The version that a file says it has.

    Args:
        found: what it says as its schema; None if it says nothing.
        newest: the schema of today, of the same kind.
        where: how to name the file in messages.

    Raises:
        InputError: another kind of file, or a version that came later.
    """
    kind, _, number = str(newest).rpartition("-")
    said = f"{kind}-1".removeprefix("-") if found is None else str(found)
    own, _, version = said.rpartition("-")
    if own != kind or not version.isdigit():
        raise InputError(f"{where} has the schema {found!r}, not {newest!r}: it is another file")
    if int(version) > int(number):
        raise InputError(
            f"{where} was written by a later version of ufgraphfr (schema {found!r}; this one "
            f"reads up to {newest!r}): update ufgraphfr"
        )
    return int(version)
