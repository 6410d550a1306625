"""What is wrong with values of a Spec, as a person reads it: the value, the rule and the fix."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from ufgraphfr.core.describe import bounds, tables, words
from ufgraphfr.core.errors import nearest
from ufgraphfr.core.spec import Spec

ARTICLE = ("whole", "number", "table", "list")
"""Words of a rule that go with one."""
SIGNS = {
    "length >=": "of length at least",
    ">=": "greater than or equal to",
    "<=": "less than or equal to",
    ">": "greater than",
    "<": "less than",
}
"""How bounds are said."""


@dataclass
class _Place:
    """Where an error is: the table it is in, the names that lead there, and what is wanted."""

    spec: type[Spec] | None
    value: Any
    names: list[str] = field(default_factory=list)
    wanted: Any = None
    bounds: tuple[str, ...] = ()


def explained(
    spec: type[Spec], values: Mapping[str, Any], error: ValidationError, where: str
) -> str:
    """The first error, without what only pydantic's users understand.

    Args:
        spec: the class that was to be built.
        values: what it was to be built from.
        error: what came of it.
        where: how to name the place, e.g. ``[algorithm]``.
    """
    errors = error.errors()
    # a key that is misspelt is missing too
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    kind, loc = first["type"], first["loc"]
    message = first["msg"].removeprefix("Value error, ")
    if kind == "value_error" and message.startswith("["):
        # a part of its own, which has said where
        return message
    if kind in ("extra_forbidden", "missing"):
        place = _located(spec, values, loc[:-1])
        key, table = str(loc[-1]), "".join(f".{name}" for name in place.names)
        where = f"{where.removesuffix(']')}{table}]" if where.endswith("]") else f"{where}{table}"
        if kind == "missing":
            return f"{where} {key} is not set, and has no default: give it as {key} = ... there"
        return f"{where} has no key '{key}': {nearest(key, place.spec.model_fields)}"  # type: ignore[union-attr]
    place = _located(spec, values, loc)
    if kind == "value_error" and not place.names and message.split(" ")[0] in spec.model_fields:
        # of several keys, and the message begins with one
        return f"{where} {message}"
    shown = (
        f"{where} {'.'.join(place.names)} = {place.value!r}" if place.names else f"{where} values"
    )
    if kind == "value_error" or place.wanted is None:
        return f"{shown}: {message}"
    return f"{shown}: must be {_rule(place, kind)}"


def _rule(place: _Place, error_type: str) -> str:
    """What a value must be, and the nearest of the values that there are."""
    named = words(place.wanted).split(" or ")
    valid = [each.strip('"') for each in named if each.startswith('"')]
    said = [f"a {each}" if each.split()[0] in ARTICLE else each.replace('"', "'") for each in named]
    rule = " or ".join(filter(None, (", ".join(said[:-1]), said[-1])))
    if error_type == "finite_number":
        return f"{rule} that is finite"
    for sign, spoken in SIGNS.items():
        place.bounds = tuple(each.replace(f"{sign} ", f"{spoken} ") for each in place.bounds)
    rule = ", ".join((rule, *dict.fromkeys(place.bounds)))
    close = get_close_matches(str(place.value), valid, n=1, cutoff=0.5)
    return f"{rule}: did you mean '{close[0]}'?" if close else rule


def _located(spec: type[Spec], values: Mapping[str, Any], loc: tuple[int | str, ...]) -> _Place:
    """Follow the steps of an error; those that name a branch of a union are none of the file's."""
    place, branches = _Place(spec, values), dict[str, type[Spec]]()
    for step in loc:
        name, value = str(step), place.value
        if place.spec is not None and name in place.spec.model_fields:
            key = place.spec.model_fields[name]
            place.wanted, place.bounds = key.annotation, tuple(bounds(key))
            branches = {each.__name__: each for each in tables(key.annotation)}
            place.spec = next(iter(branches.values()), None)
            place.names.append(name)
            place.value = value.get(name) if isinstance(value, Mapping) else None
        elif name in branches:
            place.spec = branches[name]
        elif isinstance(value, Mapping) and name in value:
            place.names.append(name)
            place.value, place.spec = value[name], None
            if get_origin(place.wanted) is dict:
                place.wanted = get_args(place.wanted)[1]
    return place
