"""What the benchmarks share: one thread, and MovieLens-100K as the main job trains on it."""

import pytest
import torch

from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.prepare import Prepared, prepare


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def main_job() -> Experiment:
    """UFGraphFR with its defaults on MovieLens-100K, texts embedded by the default encoder."""
    return build({"data": {"kind": "ml-100k"}, "text": {"kind": "use"}})


@pytest.fixture(scope="session")
def prepared(main_job: Experiment) -> Prepared:
    """Its data; fetched and encoded once, then from the cache."""
    return prepare(main_job)
