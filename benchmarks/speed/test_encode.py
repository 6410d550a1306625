"""Sentence encoders on the 943 user texts of MovieLens-100K, nothing from the cache."""

import time

import pytest

from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.text import ENCODERS


@pytest.mark.benchmark(group="943 user texts", timer=time.process_time)
@pytest.mark.parametrize("kind", ["hashing", "use"])
def test_encode(benchmark, prepared: PreparedExperiment, kind: str) -> None:
    encoder = ENCODERS.build(kind, {}, "[text]")
    texts = prepared.dataset.users.texts
    vectors = benchmark.pedantic(encoder.encode, args=(texts,), rounds=2)
    assert vectors.shape == (len(texts), encoder.width)
