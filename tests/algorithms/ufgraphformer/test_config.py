"""The flagship's keys: few enough to know, and those of the release before."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from ufgraphfr.algorithms.ufgraphformer.model import UFGraphFormer
from ufgraphfr.core.spec import Spec, parse

MOST = 50


def tables(annotation: Any) -> Iterator[type[Spec]]:
    """The tables that a key may hold."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    for option in get_args(annotation):
        yield from tables(option)


def keys(spec: type[Spec], where: str = "") -> Iterator[str]:
    """Every key that a person may set; a table counts by its keys."""
    for name, field in spec.model_fields.items():
        inner = list(tables(field.annotation))
        for table in inner:
            yield from keys(table, f"{where}{name}.")
        if not inner:
            yield where + name


def test_its_keys_can_be_known() -> None:
    found = list(keys(UFGraphFormer))
    assert {"dim", "adam.lr", "private.graph_items", "graph.rounds"} <= set(found)
    assert len(found) <= MOST, found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            {"lr": 0.1, "warmup": 3, "betas": [0.8, 0.9], "average": 0.5},
            {"adam": {"lr": 0.1, "warmup": 3, "betas": [0.8, 0.9], "average": 0.5}},
        ),
        ({"lr": 0.1, "adam": {"warmup": 3}}, {"adam": {"lr": 0.1, "warmup": 3}}),
        ({"newcomers": {"latest": 3}}, {"cold_users": {"latest": 3}}),
        ({"newcomers": False, "new_items": {}}, {"cold_users": False, "cold_items": {}}),
        ({"graph": {"near": 0.7}}, {"graph": {"gap_decay": 0.7}}),
        ({"private": {"places": 9}}, {"private": {"history": 9}}),
        ({"private": {"counted": 9}}, {"private": {"history": 9}}),
    ],
)
def test_keys_of_the_release_before_are_read(old: dict[str, Any], new: dict[str, Any]) -> None:
    with pytest.warns(DeprecationWarning, match="is called"):
        found = parse(UFGraphFormer, old, "[algorithm]")
    assert found == parse(UFGraphFormer, new, "[algorithm]")
