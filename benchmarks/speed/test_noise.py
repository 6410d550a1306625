"""A million numbers of noise from the operating system's generator, small and large."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from ufgraphfr.privacy.accounted.noise import secure_noise


@pytest.mark.parametrize("sigma", [0.7, 10.0, 1e6])
@pytest.mark.benchmark(group="a million numbers of noise", timer=time.process_time)
def test_noise(benchmark: Callable[..., Any], sigma: float) -> None:
    assert len(benchmark(secure_noise, 1_000_000, sigma)) == 1_000_000
