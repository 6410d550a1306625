"""Typed frozen hyper-parameters, and the registries that find a part by its file name.

A *part* (an algorithm, a data source, an encoder, a mechanism, a reference) is one class in one
file, or in the file ``model`` of a package. The class is its own hyper-parameters: a frozen
pydantic model whose methods take all state as arguments. Its kind is the name of the file or
package; a dotted kind ``package.module.Class`` is imported from outside this package.
"""

import importlib
import inspect
import pkgutil
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ufgraphfr.core.errors import InputError, nearest


class Spec(BaseModel):
    """Frozen hyper-parameters; unknown keys are refused."""

    # what keys mean is read from the source by `core.describe`, when somebody asks: reading it for
    # every class takes a quarter of a second
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: ClassVar[str] = ""
    renamed: ClassVar[dict[str, str]] = {}
    """Keys of the release before, and what they are called now: ``key``, or ``table.key`` for one
    that has moved into a table. They are still read, with a `DeprecationWarning`."""
    counted: ClassVar[dict[str, str]] = {}
    """Keys that are numbers of ``items`` or ``clients``, of which there may be fewer."""

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, values: Any) -> Any:
        # a table may be switched off by false, and a default is a Spec already
        if not isinstance(values, dict) or not cls.renamed.keys() & values.keys():
            return values
        kept = {key: value for key, value in values.items() if key not in cls.renamed}
        for old in sorted(values.keys() & cls.renamed.keys()):
            new = cls.renamed[old]
            table, _, key = new.rpartition(".")
            given = kept.get(table, {}) if table else kept
            if not isinstance(given, dict) or key in given:
                raise ValueError(f"{old} is called {new} now, which is given too: drop {old}")
            kept |= {table: {**given, key: values[old]}} if table else {key: values[old]}
            message = f"{old} is called {new} now; the old name is read until the next release"
            warnings.warn(message, DeprecationWarning, stacklevel=1)
        return kept


S = TypeVar("S", bound=Spec)


def parse(spec: type[S], values: dict[str, Any], where: str) -> S:
    """Validate ``values`` as a ``spec``.

    Args:
        spec: the class of the hyper-parameters.
        values: names to values, as read from a TOML table.
        where: how to name the place in messages, e.g. ``[algorithm]``.

    Raises:
        InputError: an unknown key (with the nearest valid one) or a value out of its range.
    """
    for key in values:
        if key not in spec.model_fields and key not in spec.renamed:
            raise InputError(f"{where} has no key '{key}': {nearest(key, spec.model_fields)}")
    try:
        return spec.model_validate(values)
    except ValidationError as error:
        # it knows types in words, and is made of specs
        from ufgraphfr.core.invalid import explained

        raise InputError(explained(spec, values, error, where)) from None


class Registry(Generic[S]):
    """The parts of one kind: the modules of a package, each with one concrete class."""

    def __init__(self, package: str, base: type[S], noun: str) -> None:
        """Names the package to look in, the class parts derive from, and what a part is called."""
        self.package, self.base, self.noun = package, base, noun

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds this package ships, sorted; nothing is imported to list them."""
        path = importlib.import_module(self.package).__path__
        names = (
            found.name
            for folder in path
            for found in pkgutil.iter_modules([folder])
            if not found.ispkg or (Path(folder) / found.name / "model.py").exists()
        )
        skipped = {"base", "capabilities"}
        return tuple(sorted(n.replace("_", "-") for n in names if n not in skipped and n[0] != "_"))

    def find(self, kind: str) -> type[S]:
        """The class of a kind.

        Raises:
            InputError: no such kind; the nearest one is offered.
        """
        if "." in kind:
            return self._outside(kind)
        # both spellings of a kind name the same file
        name = kind.replace("_", "-")
        if name not in self.kinds:
            raise InputError(f"no {self.noun} '{kind}': {nearest(kind, self.kinds)}")
        module = importlib.import_module(f"{self.package}.{name.replace('-', '_')}")
        if hasattr(module, "__path__"):
            module = importlib.import_module(f"{module.__name__}.model")
        found = [
            member
            for _, member in inspect.getmembers(module, inspect.isclass)
            if issubclass(member, self.base)
            and member.__module__ == module.__name__
            and not inspect.isabstract(member)
        ]
        if len(found) != 1:
            raise TypeError(f"{module.__name__} must define one {self.noun}, not {len(found)}")
        found[0].kind = name
        return found[0]

    def _outside(self, kind: str) -> type[S]:
        module_name, _, class_name = kind.rpartition(".")
        try:
            member = getattr(importlib.import_module(module_name), class_name)
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"cannot import {self.noun} '{kind}' ({error}): "
                f"a dotted kind is package.module.Class, beside the experiment's file, in the "
                f"current folder or on the Python path"
            ) from None
        if not (inspect.isclass(member) and issubclass(member, self.base)):
            raise InputError(f"'{kind}' is not a subclass of {self.base.__name__}")
        member.kind = kind
        return member

    def build(self, kind: str, values: dict[str, Any], where: str) -> S:
        """The part of a kind with these hyper-parameters.

        Raises:
            InputError: no such kind, an unknown key, or a value out of range.
        """
        return parse(self.find(kind), values, where)
