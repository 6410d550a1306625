"""What the tests of a deployment share."""

from pathlib import Path

import pytest
import torch
from small_federation import Federation, federate, toy_values


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return federate(tmp_path / "deployment", toy_values())


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No noise, in a simulation and at the agents."""
    monkeypatch.setattr(
        "ufgraphfr.privacy.central_jdp.secure_noise",
        lambda count, *_: torch.zeros(count, dtype=torch.int64),
    )
