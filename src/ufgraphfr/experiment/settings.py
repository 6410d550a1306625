"""Settings as tables: all of them for readers, and those that differ from their defaults."""

from typing import Any

from ufgraphfr.core.spec import Spec


def resolved(spec: Spec) -> dict[str, Any]:
    """Every key with its value as TOML knows it; a key that is left out is None."""
    return spec.model_dump(mode="json", exclude_none=True)


def changed(spec: Spec) -> dict[str, Any]:
    """The keys whose values differ from their defaults, in nested tables likewise.

    A key that is added later, with a default, changes nothing here.
    """
    plain = resolved(spec)
    return {
        name: _changed(getattr(spec, name), plain[name])
        for name, field in type(spec).model_fields.items()
        if name in plain and getattr(spec, name) != field.get_default(call_default_factory=True)
    }


def _changed(value: Any, plain: Any) -> Any:
    if isinstance(value, Spec):
        # a part that is one of several says which
        return ({"kind": value.kind} if "kind" in plain else {}) | changed(value)
    return plain


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
