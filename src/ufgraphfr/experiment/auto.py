"""Which settings an experiment leaves to a rule: unset, or said to be ``"auto"``."""

import copy
from collections.abc import Mapping
from typing import Any

from ufgraphfr.core.derived import AUTO
from ufgraphfr.core.spec import Spec
from ufgraphfr.experiment.settings import flat, take


def left_open(parts: Mapping[str, Spec]) -> frozenset[str]:
    """The keys that the model can derive and nobody has set.

    Args:
        parts: what each table of an experiment became.
    """
    keys: frozenset[str] = getattr(parts["algorithm"], "derived_keys", frozenset())
    return frozenset(key for key in keys if not is_set(parts, key))


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
