"""The ``[tune]`` table: which settings to search, and how long; it decides nothing of a run."""

from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.spec import Spec, parse

SEARCHED = ("algorithm", "federation")
"""The tables that a search may change: data, split and metrics are what settings are judged by."""


class Range(Spec):
    """Numbers from one to another; whole ones if both are whole."""

    low: int | float
    """The smallest value."""
    high: int | float
    """The largest value."""
    log: bool = False
    """Whether orders of magnitude are alike, as for learning rates."""

    @model_validator(mode="after")
    def _fits(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low = {self.low} must be below high = {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low = {self.low} must be above 0 where log = true")
        return self

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Choices: TypeAlias = tuple[str | int | float | bool, ...]
Space: TypeAlias = dict[str, Range | Choices]
"""By ``table.key``: a range, or the values to choose from."""


class TuneSpec(Spec):
    """What ``ufgraphfr tune`` searches; the ``[tune]`` table."""

    trials: int = Field(20, ge=1)
    """How many settings are tried; the file's own are the first."""
    sampler: Literal["tpe", "random"] = "tpe"
    """``tpe`` learns from the trials before; ``random`` does not."""
    pruning: bool = True
    """Whether a trial ends early that is below the median of the trials before at its round."""
    search: dict[str, Any] = Field(default_factory=dict)
    """Keys of ``[algorithm]`` and ``[federation]``, each with a list of values or with ``low``,
    ``high`` and, for orders of magnitude, ``log = true``; as in ``[tune.search.algorithm]``."""


def search_space(spec: TuneSpec) -> Space:
    """The search space with its keys as ``table.key``.

    Raises:
        InputError: there is none, or a key or range is wrong.
    """
    found = dict(_flat(spec.search))
    if not found:
        raise InputError(
            "[tune.search] is empty: name what to search, as in [tune.search.algorithm] "
            "lr = { low = 0.001, high = 0.1, log = true }"
        )
    for key in found:
        if key.partition(".")[0] not in SEARCHED:
            raise InputError(
                f"[tune.search] {key}: only keys of [algorithm] and [federation] are searched; "
                f"data, split and metrics are what settings are judged by"
            )
    return found


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Range | Choices]]:
    found: list[tuple[str, Range | Choices]] = []
    for key, value in values.items():
        name, where = f"{prefix}{key}", f"[tune.search] {prefix}{key}"
        if isinstance(value, dict) and not {"low", "high"} & value.keys():
            found += _flat(value, f"{name}.")
        elif isinstance(value, dict):
            found.append((name, parse(Range, value, where)))
        elif isinstance(value, list) and value and all(map(_plain, value)):
            found.append((name, tuple(value)))
        else:
            raise InputError(
                f"{where} = {value!r}: give a list of values, as in [16, 32, 64], or "
                f"{{ low = 0.001, high = 0.1, log = true }}"
            )
    return found


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool)
