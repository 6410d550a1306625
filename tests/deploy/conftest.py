"""What the tests of a deployment share."""

from pathlib import Path

import pytest
from small_federation import Federation, federate, toy_values


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return federate(tmp_path / "deployment", toy_values())
