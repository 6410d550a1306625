"""How a contract is held: a function of a part that raises an AssertionError with a sentence."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from ufgraphfr.core.spec import Spec, parse

S = TypeVar("S", bound=Spec)
Settings = Sequence[Mapping[str, Any]]
"""Configurations to check: the keys that differ from their defaults."""
DEFAULTS: Settings = ({},)


def require(holds: bool, sentence: str) -> None:
    """Say what is broken, if it does not hold.

    Raises:
        AssertionError: it does not hold.
    """
    if not holds:
        raise AssertionError(sentence)


def require_close(found: Tensor, expected: Tensor, sentence: str, tolerance: float = 1e-5) -> None:
    """Say what is broken and by how much, if two arrays differ.

    Raises:
        AssertionError: their shapes differ, or values by more than the tolerance, absolute and
            relative.
    """
    require(found.shape == expected.shape, f"{sentence}: shapes {found.shape}, {expected.shape}")
    if not torch.allclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True):
        most = (found.double() - expected.double()).abs().max()
        raise AssertionError(f"{sentence}: they differ by up to {float(most):.3g}")


def require_equal(found: Mapping[str, Tensor], kept: Mapping[str, Tensor], sentence: str) -> None:
    """Say what is broken, if arrays are no longer what a copy of them holds.

    Raises:
        AssertionError: an array differs.
    """
    for name, value in kept.items():
        require(torch.equal(found[name], value), f"{sentence}: '{name}' differs")


def copied(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy to compare with later."""
    return {name: value.clone() for name, value in arrays.items()}


def survives_a_round_trip(part: Spec) -> None:
    """Its settings are the same after they were written and read."""
    again = parse(type(part), part.model_dump(mode="json"), "the settings")
    require(again == part, "its settings change when they are written and read again")


def check(part: S, contracts: Iterable[Callable[[S], None]], name: str) -> None:
    """Hold a part to contracts.

    Raises:
        AssertionError: one is broken; the sentence names the part, its settings and the contract.
    """
    for contract in contracts:
        try:
            contract(part)
        except AssertionError as broken:
            raise AssertionError(f"{name} ({contract.__name__}): {broken}") from None


def configured(spec: type[S], configurations: Settings) -> Iterable[tuple[S, str]]:
    """A part for each configuration, and what to call it in messages."""
    for settings in configurations:
        name = f"{spec.__name__} with {dict(settings)}" if settings else spec.__name__
        yield parse(spec, dict(settings), name), name
