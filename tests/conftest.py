"""What every test runs under: one thread, a cache folder of its own, no chance in CI."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# before numpy and torch are imported: tests run side by side, one process a core
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile(
    "ufgraphfr",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ufgraphfr")


HERE = Path(__file__).parent
IMPORTED = (HERE.parent / "src", HERE / "oracles")
"""As ``pythonpath`` in pyproject.toml: processes that tests start import what the tests import."""


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UFGRAPHFR_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, IMPORTED)))
        yield
