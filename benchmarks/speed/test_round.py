"""One round of UFGraphFR on MovieLens-100K: all 943 clients train, the server makes the graph."""

import time
from collections.abc import Callable

import pytest

from ufgraphfr.federation.loop import Round


@pytest.mark.benchmark(group="one round on MovieLens-100K", timer=time.process_time)
def test_round(benchmark, going: Callable) -> None:
    _, rounds = going(5)
    # the second round is the first with neighbors
    next(rounds)
    last: Round = benchmark.pedantic(next, args=(rounds,), rounds=4)
    benchmark.extra_info["train_seconds"] = last.train_seconds
    benchmark.extra_info["aggregate_seconds"] = last.aggregate_seconds
