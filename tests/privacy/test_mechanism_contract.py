"""What every mechanism owes; a new one is tested here by its file name."""

from collections.abc import Callable
from typing import Any

import pytest

from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.privacy.base import PrivacySpec
from ufgraphfr.testing import MECHANISM_CONTRACTS

CONFIGURATIONS: dict[str, list[dict[str, Any]]] = {
    "central-jdp": [
        {"epsilon": 2},
        {"epsilon": 8, "trust": "shard", "shards": 4},
        {"epsilon": 2, "row_cap": 0.1},
        {"epsilon": 2, "seeded_noise": True},
    ],
    "laplace-as-published": [{}, {"scale": 3.0}],
    "ldp": [{"epsilon": 4}],
}
CONFIGURED = [(kind, keys) for kind in MECHANISMS.kinds for keys in CONFIGURATIONS.get(kind, [{}])]


@pytest.mark.parametrize(("kind", "keys"), CONFIGURED, ids=str)
@pytest.mark.parametrize("contract", MECHANISM_CONTRACTS, ids=lambda each: each.__name__)
def test_contract(contract: Callable[[PrivacySpec], None], kind: str, keys: dict[str, Any]) -> None:
    contract(MECHANISMS.build(kind, keys, "[privacy]"))
