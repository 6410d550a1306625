"""A federation small enough to know the answer of: the checkerboard."""

from collections.abc import Callable

import pytest

from ufgraphfr import testing
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.testing import SmallFederation


@pytest.fixture
def checkerboard() -> ClientBatch:
    """See `testing.checkerboard`."""
    return testing.checkerboard()


@pytest.fixture
def federation_of() -> Callable[..., SmallFederation]:
    """Makes a federation of an algorithm and its clients."""
    return SmallFederation.of
