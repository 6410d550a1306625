"""Sizes above what there is are told, if somebody set them."""

from typing import Any

import pytest

from ufgraphfr.experiment import build
from ufgraphfr.experiment.oversized import oversized

THERE = {"items": 40, "clients": 30}


@pytest.mark.parametrize(
    ("algorithm", "told"),
    [
        (
            {"kind": "ufgraphfr", "neighbors": 31},
            "[algorithm] neighbors = 31 is above the 30",
        ),
        ({"kind": "ufgraphfr", "neighbors": 30}, ""),
        (
            {"kind": "itemknn", "neighbors": 1000},
            "[algorithm] neighbors = 1,000 is above the 40 items",
        ),
        ({"kind": "itemknn"}, ""),
        (
            {"kind": "ufgraphformer", "graph": {"rank": 41}},
            "[algorithm.graph] rank = 41 is above the 40 items there are: 40 are taken",
        ),
        ({"kind": "ufgraphformer", "graph": {"rank": 40}}, ""),
    ],
)
def test_a_size_that_was_set_is_told(toy: Any, algorithm: dict[str, Any], told: str) -> None:
    model = build(toy() | {"algorithm": algorithm}).model
    found = list(oversized(model, "[algorithm]", THERE))
    assert len(found) == bool(told)
    assert all(sentence.startswith(told) for sentence in found)


def test_a_run_tells_it(toy: Any, run: Any, caplog: Any) -> None:
    run(toy() | {"algorithm": {"kind": "itemknn", "neighbors": 1000}})
    assert "neighbors = 1,000 is above the 40 items" in caplog.text
