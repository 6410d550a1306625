"""From some size on a sample of the users is asked, and the run says so."""

import logging

import pytest

from ufgraphfr.experiment.config import build
from ufgraphfr.experiment.evaluation_spec import EvaluationSpec
from ufgraphfr.experiment.prepare import prepare


@pytest.mark.parametrize(
    ("key", "users", "asked"),
    [(None, 49_999, None), (None, 50_000, 10_000), (7, 20, 7), (20, 20, None), (9, 90_000, 9)],
)
def test_how_many_are_asked(key: int | None, users: int, asked: int | None) -> None:
    assert EvaluationSpec(users=key).asked(users) == asked


def test_a_run_asks_as_many_as_it_says(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = {"kind": "synthetic", "users": 60, "items": 40, "interactions": 8}
    values = {"name": "x", "seed": 0, "data": data, "algorithm": {"kind": "popularity"}}
    prepared = prepare(build(values | {"evaluation": {"users": 11}}))
    assert len(prepared.test.clients) == len(prepared.validation.clients) == 11
    assert len(prepared.split.warm) == 60
    assert "users = 11: a sample" in caplog.text
