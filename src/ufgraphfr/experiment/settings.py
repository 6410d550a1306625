"""Nested tables of settings by the path ``table.key``."""

from typing import Any


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as ``table.key``."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, dict)
        found |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


def put(values: dict[str, Any], path: str, value: Any) -> None:
    """Set ``table.key`` in nested tables.

    Raises:
        KeyError: a value stands where a table must be.
    """
    *tables, key = path.split(".")
    for name in tables:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise KeyError(name)
    values[key] = value


def take(values: dict[str, Any], path: str) -> None:
    """Remove ``table.key`` from nested tables, if it is there."""
    *tables, key = path.split(".")
    inner: Any = values
    for name in tables:
        inner = inner.get(name) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner.pop(key, None)
