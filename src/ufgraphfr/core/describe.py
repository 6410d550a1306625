"""The keys of a Spec as a person reads them: type, default, range and meaning; nested ones too."""

import ast
import inspect
import json
import re
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ufgraphfr.core.spec import Spec

WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text"}
BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >="}


@dataclass(frozen=True)
class KeyFacts:
    """One key of a table.

    Attributes:
        name: as in TOML; ``table.key`` within a table.
        type: what values may be, in words.
        default: in TOML's notation; "required" if there is none, "none" for a key left out.
        range: bounds of a number, or empty.
        meaning: what it does.
        renamed: names that it had in earlier releases and that are still read.
    """

    name: str
    type: str
    default: str
    range: str
    meaning: str
    renamed: tuple[str, ...] = ()


def keys_of(spec: type[Spec], prefix: str = "") -> Iterator[KeyFacts]:
    """Every key of a Spec in its order, the keys of a table right after it."""
    meanings = meanings_of(spec)
    for name, field in spec.model_fields.items():
        nested = tuple(tables(field.annotation))
        yield KeyFacts(
            name=prefix + name,
            type=words(field.annotation),
            default=_default(field),
            range=", ".join(bounds(field)),
            meaning=plain(field.description or meanings.get(name, "")),
            renamed=tuple(old for old, new in spec.renamed.items() if new == name),
        )
        for table in nested:
            for key in keys_of(table, f"{prefix}{name}."):
                inside = key.name.removeprefix(prefix)
                olds = tuple(prefix + old for old, new in spec.renamed.items() if new == inside)
                yield KeyFacts(**{**vars(key), "renamed": (*key.renamed, *olds)})


def meanings_of(spec: type[Spec]) -> dict[str, str]:
    """The strings below the attributes of a class and of those that it derives from, by name."""
    found = dict[str, str]()
    for each in reversed(spec.__mro__):
        if not issubclass(each, Spec):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(tree, ast.ClassDef)
        for field, below in pairwise(tree.body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(text))):
                    found[name] = inspect.cleandoc(text)
    return found


def summary_of(spec: type[Spec]) -> str:
    """What a part is: the first sentence of its file or, where a file has many, of its class."""
    module = inspect.getmodule(spec)
    text = (module.__doc__ if spec.kind and module else None) or spec.__doc__ or ""
    return plain(text.split("\n\n")[0])


def plain(text: str) -> str:
    """A docstring as one line, without its markup."""
    return re.sub(r"`+([^`]*)`+", r"\1", " ".join(text.split()))


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a type."""
    if get_origin(annotation) is Annotated:
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(part for each in get_args(annotation) for part in _parts(each))
    return (annotation,)


def tables(annotation: Any) -> Iterator[type[Spec]]:
    """Tables whose keys are known; those of one that names a ``kind`` are the kind's."""
    for part in _parts(annotation):
        if inspect.isclass(part) and issubclass(part, Spec) and not inspect.isabstract(part):
            yield part


def words(annotation: Any) -> str:
    """What values of a type may be."""
    found = (_word(part) for part in _parts(annotation) if part is not type(None))
    return " or ".join(dict.fromkeys(found))


def _word(part: Any) -> str:
    origin, inside = get_origin(part), get_args(part)
    if origin is Literal:
        return " or ".join(json.dumps(value) for value in inside)
    if origin is tuple:
        return f"list of {_several(inside[0])}"
    if origin is dict:
        return f"table of {_several(inside[1])}"
    if inspect.isclass(part) and issubclass(part, Spec):
        return "table with a kind" if inspect.isabstract(part) else "table"
    return WORDS.get(part, getattr(part, "__name__", str(part)))


def _several(annotation: Any) -> str:
    """The plural, of what has one."""
    found = words(annotation)
    return f"{found}s" if found in ("number", "whole number", "text", "table") else found


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    return "its keys' defaults" if isinstance(value, Spec) else json.dumps(value)


def bounds(field: FieldInfo) -> Iterator[str]:
    """Between what its values lie, as in ``> 0``."""
    for found in (*field.metadata, *_inner(field.annotation)):
        for name, sign in BOUNDS.items():
            bound = getattr(found, name, None)
            if bound is not None:
                yield f"{sign} {bound:g}" if isinstance(bound, int | float) else f"{sign} {bound}"


def _inner(annotation: Any) -> Iterator[Any]:
    """What bounds the values within a type."""
    if get_origin(annotation) is Annotated:
        for found in get_args(annotation)[1:]:
            yield from getattr(found, "metadata", (found,))
    elif get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _inner(part)
