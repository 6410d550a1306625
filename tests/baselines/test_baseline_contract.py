"""What every baseline must hold; a new one is tested here by its file name."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from made_batches import made_batch

from ufgraphfr.baselines import BASELINES
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.testing import BASELINE_CONTRACTS
from ufgraphfr.testing.baselines import learns_the_checkerboard

FEW = {"transformer": {"epochs": 3}}
"""Where a contract does not ask for what is learnt, by kind."""
OF_WHAT_FOLLOWS = {"markov", "ease-markov", "transformer"}
"""What is of the order of histories, and of nothing else."""
PERSONAL = sorted(set(BASELINES.kinds) - {"popularity", "position-popularity"})


@pytest.mark.parametrize("kind", BASELINES.kinds)
@pytest.mark.parametrize("contract", BASELINE_CONTRACTS, ids=lambda each: each.__name__)
def test_contract(contract: Callable[[Baseline], None], kind: str) -> None:
    contract(BASELINES.build(kind, FEW.get(kind, {}), "[algorithm]"))


@pytest.mark.parametrize("kind", PERSONAL)
def test_personal_baselines_learn_the_checkerboard(kind: str) -> None:
    learns_the_checkerboard(BASELINES.build(kind, {}, "[algorithm]"))


@pytest.mark.parametrize("kind", sorted(set(BASELINES.kinds) - OF_WHAT_FOLLOWS))
def test_where_order_means_nothing_none_counts(kind: str) -> None:
    options = {"closed-forms": {"markov": False}}
    baseline = BASELINES.build(kind, options.get(kind, {}), "[algorithm]")
    batch = replace(made_batch([9, 7, 12, 4, 8, 6, 10, 5], 20), ordered=False)
    backwards = torch.cat([own.flip(0) for own in batch.items.split(batch.counts.tolist())])
    fitted, turned = baseline.fit(batch), batch.with_history(batch.ptr, backwards)
    scores = baseline.score(fitted, batch)
    torch.testing.assert_close(baseline.score(fitted, turned), scores, atol=1e-3, rtol=1e-3)
    if kind in ("ease", "ials", "itemknn"):
        ordered = baseline.score(fitted, replace(batch, ordered=True))
        assert not torch.allclose(ordered, scores)
