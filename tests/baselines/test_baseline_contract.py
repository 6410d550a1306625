"""What every baseline must hold; a new one inherits these tests by its file name."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.spec import Registry
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.data.split import Split, leave_one_out
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.protocol import EvaluationSet

BASELINES: Registry[Baseline] = Registry("ufgraphfr.baselines", Baseline, "baseline")
PERSONAL = sorted(set(BASELINES.kinds) - {"popularity", "position-popularity"})


@pytest.fixture(scope="module")
def checkerboard() -> Split:
    """Users like all items of their own colour, in random order."""
    source = Synthetic(users=80, items=48, groups=4, interactions=12, noise=0.0)
    return leave_one_out(source.load().interactions)


def all_users(split: Split) -> ClientBatch:
    return build(split, torch.empty(split.n_users, 0))


@pytest.fixture(params=BASELINES.kinds)
def baseline(request: pytest.FixtureRequest) -> Baseline:
    return BASELINES.build(request.param, {}, "[baseline]")


def test_scores_are_finite_and_fit_the_clients(baseline: Baseline, checkerboard: Split) -> None:
    batch = all_users(checkerboard)
    scores = baseline.score(baseline.fit(batch), batch)
    assert scores.shape == (80, 48)
    assert scores.is_floating_point()
    assert bool(scores.isfinite().all())


def test_a_chunk_is_scored_as_each_client_alone(baseline: Baseline, checkerboard: Split) -> None:
    batch = all_users(checkerboard)
    fitted = baseline.fit(batch)
    together = baseline.score(fitted, batch)
    alone = [baseline.score(fitted, batch.select(torch.tensor([u]))) for u in range(80)]
    torch.testing.assert_close(torch.cat(alone), together)


def test_the_order_of_clients_does_not_matter(baseline: Baseline, checkerboard: Split) -> None:
    batch = all_users(checkerboard)
    shuffled = batch.select(torch.randperm(80, generator=torch.Generator().manual_seed(0)))
    one, other = baseline.fit(batch), baseline.fit(shuffled)
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name])


def test_clients_without_history_are_scored(baseline: Baseline, checkerboard: Split) -> None:
    """As inputs, and in training: users that are kept out, items that nobody has."""
    batch = all_users(checkerboard)
    nothing = batch.select(torch.arange(3)).with_history(
        torch.zeros(4, dtype=torch.int64), batch.items[:0]
    )
    mixed = batch.select(torch.tensor([0, 1])).with_history(
        torch.tensor([0, 0, 2]), torch.tensor([5, 6])
    )
    fitted = baseline.fit(mixed)
    for clients in (nothing, mixed, batch):
        assert bool(baseline.score(fitted, clients).isfinite().all())
    first, *others = baseline.score(baseline.fit(batch), nothing)
    assert all(torch.equal(first, other) for other in others)


def test_fitted_statistics_are_tensors_of_their_own(
    baseline: Baseline, checkerboard: Split
) -> None:
    batch = all_users(checkerboard)
    kept = batch.items.clone()
    fitted = baseline.fit(batch)
    before = {name: value.clone() for name, value in fitted.items()}
    baseline.score(fitted, batch)
    assert torch.equal(batch.items, kept)
    for name, value in before.items():
        assert torch.equal(value, fitted[name])


@pytest.mark.parametrize("kind", PERSONAL)
def test_personal_baselines_learn_the_checkerboard(kind: str, checkerboard: Split) -> None:
    """The one item of the own colour that is missing is the answer."""
    baseline = BASELINES.build(kind, {}, "[baseline]")
    batch = all_users(checkerboard)
    fitted = baseline.fit(batch)

    def score(clients: ClientBatch) -> Tensor:
        return baseline.score(fitted, clients)

    outcome = evaluate(score, EvaluationSet.of(batch, checkerboard, "test"))
    assert (outcome.full == 1).all()
