"""Which settings an experiment leaves to a rule: unset, or said to be ``"auto"``."""

import copy
from collections.abc import Mapping
from typing import Any

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.core.derived import AUTO
from ufgraphfr.core.spec import Registry, Spec
from ufgraphfr.experiment.settings import flat, take
from ufgraphfr.privacy import MECHANISMS

DERIVING: dict[str, Registry[Any]] = {"algorithm": ALGORITHMS, "privacy": MECHANISMS}
"""The tables whose kind decides what can be derived."""


def derivable(kinds: Mapping[str, str]) -> frozenset[str]:
    """The keys that a model and a privacy mechanism can derive, given each table's kind."""
    found = set[str]()
    for table, registry in DERIVING.items():
        known = "." in kinds[table] or kinds[table].replace("_", "-") in registry.kinds
        found.update(getattr(registry.find(kinds[table]) if known else None, "derived_keys", ()))
    return frozenset(found)


def left_open(parts: Mapping[str, Spec]) -> frozenset[str]:
    """The keys that the model or the privacy mechanism can derive and nobody has set.

    Args:
        parts: what each table of an experiment became.
    """
    return frozenset(
        key
        for table in DERIVING
        for key in getattr(parts[table], "derived_keys", ())
        if not is_set(parts, key)
    )


def is_set(parts: Mapping[str, Spec], key: str) -> bool:
    """Whether somebody has set ``table.key``, or has switched its table off."""
    table, *tables, last = key.split(".")
    spec = parts[table]
    for name in tables:
        inner = getattr(spec, name)
        if name not in spec.model_fields_set or not isinstance(inner, Spec):
            return name in spec.model_fields_set
        spec = inner
    return last in spec.model_fields_set


def without_auto(values: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """The values of an experiment without those of ``keys`` that say ``"auto"``."""
    said = [key for key, value in flat(values).items() if value == AUTO and key in keys]
    if not said:
        return values
    values = copy.deepcopy(values)
    for key in said:
        take(values, key)
    return values
