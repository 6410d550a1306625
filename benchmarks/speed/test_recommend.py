"""One answer of a recommender that is loaded, for a known user and for a history in the request."""

import time
from collections.abc import Callable
from typing import Any

import pytest

import ufgraphfr

SHORT = ("federation.rounds=12", "evaluation.every=12")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> ufgraphfr.Run:
    """The flagship on MovieLens-100K after twelve rounds: what an answer costs is the same."""
    folder = tmp_path_factory.mktemp("recommend") / "run"
    return ufgraphfr.run("experiments/ml100k/ufgraphformer.toml", out=folder, set=SHORT)


@pytest.mark.parametrize("asked", [{"user": "1"}, {"history": ["50", "181"]}], ids=str)
@pytest.mark.benchmark(group="an answer of ten items", timer=time.process_time)
def test_recommend(
    benchmark: Callable[..., Any], loaded: ufgraphfr.Run, asked: dict[str, Any]
) -> None:
    assert len(benchmark(loaded.recommend, n=10, **asked)) == 10
