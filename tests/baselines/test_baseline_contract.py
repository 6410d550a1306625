"""What every baseline must hold; a new one is tested here by its file name."""

from collections.abc import Callable

import pytest

from ufgraphfr.baselines import BASELINES
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.testing import BASELINE_CONTRACTS
from ufgraphfr.testing.baselines import learns_the_checkerboard

FEW = {"transformer": {"epochs": 3}}
"""Where a contract does not ask for what is learnt, by kind."""
PERSONAL = sorted(set(BASELINES.kinds) - {"popularity", "position-popularity"})


@pytest.mark.parametrize("kind", BASELINES.kinds)
@pytest.mark.parametrize("contract", BASELINE_CONTRACTS, ids=lambda each: each.__name__)
def test_contract(contract: Callable[[Baseline], None], kind: str) -> None:
    contract(BASELINES.build(kind, FEW.get(kind, {}), "[algorithm]"))


@pytest.mark.parametrize("kind", PERSONAL)
def test_personal_baselines_learn_the_checkerboard(kind: str) -> None:
    learns_the_checkerboard(BASELINES.build(kind, {}, "[algorithm]"))
