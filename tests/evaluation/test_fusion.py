"""What users know for a fusion: the draft list, its rivals, and who counts in which fit."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.split import Split
from ufgraphfr.evaluation import fusion
from ufgraphfr.evaluation.fusion import SHARES, Candidates, FusionData, choose_blend
from ufgraphfr.evaluation.metric_sums import Model
from ufgraphfr.evaluation.protocol import EvaluationSet, of_like_length
from ufgraphfr.ops import bends as ops_bends
from ufgraphfr.ops.bends import bent, sets_of, unbent
from ufgraphfr.ops.fusion import FusionSums, spread_shares


def parts_of(clients: ClientBatch) -> Tensor:
    """Two parts, the same for a client in any chunk, without ties."""
    generators = [torch.Generator().manual_seed(client) for client in clients.clients.tolist()]
    rows = [torch.randn(2, clients.n_items, generator=each) for each in generators]
    return torch.stack(rows, dim=1)


def not_asked(_clients: ClientBatch, _parts: Tensor, _weights: Tensor) -> Tensor:
    raise AssertionError("a fit needs no blend")


MODEL = Model(parts_of, not_asked)


@pytest.fixture
def asked(batch: ClientBatch, split: Split) -> EvaluationSet:
    return EvaluationSet.of(batch, split, "validation")


@pytest.mark.parametrize("draft", [40, 10_000])
def test_rivals_are_the_best_of_the_equal_sum_that_nobody_has(
    asked: EvaluationSet, draft: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion, "DRAFT", draft)
    known = FusionData.of(MODEL, asked, Key(0), chunk=7)
    expected = []
    order = of_like_length(asked.clients, torch.arange(len(asked.targets)))
    for place, target in zip(order, asked.targets[order, 0].tolist(), strict=True):
        one = asked.clients.select(place[None])
        scores = parts_of(one)[:, 0]
        free = sorted(
            set(range(one.n_items)) - set(one.items.tolist()) | {target},
            key=lambda item: -float(scores.sum(0)[item]),
        )[:draft]
        if target in free:
            expected.append((scores[:, target], {float(scores[0, item]) for item in free}))
    assert len(known.features) == len(expected) == len(known.half)
    assert 0 < len(expected) < len(asked.targets) or draft == 10_000
    for features, rival, (own, listed) in zip(known.features, known.rival, expected, strict=True):
        assert torch.equal(features[0], own)
        assert rival[0]
        assert set(features[rival, 0].tolist()) == listed


def test_a_part_that_is_no_number_says_nothing(asked: EvaluationSet) -> None:
    def broken(clients: ClientBatch, instead: float) -> Tensor:
        scores = parts_of(clients)
        scores[1, ::2, ::3] = instead
        return scores

    nothing, no_number = (
        FusionData.of(Model(partial(broken, instead=value), not_asked), asked, Key(0))
        for value in (0.0, torch.nan)
    )
    assert all(map(torch.equal, vars(nothing).values(), vars(no_number).values()))


def test_not_more_users_are_asked_than_needed(
    asked: EvaluationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion, "MOST_ITEMS", 10)
    monkeypatch.setattr(fusion, "DRAFT", 10_000)
    some, others = (FusionData.of(MODEL, asked, Key(seed)) for seed in (0, 1))
    assert len(some.features) == len(others.features) == 10
    assert not torch.equal(some.features, others.features)


def test_each_half_is_validated_with_the_fit_to_the_other() -> None:
    fits = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)

    def ask(weights: Tensor) -> FusionSums:
        # a parabola about the sum of each fit, steep against the ridge
        away = weights - fits
        steep = torch.full((3, 1, 1), 1e9, dtype=torch.float64)
        return FusionSums(away[:, 0].square() * 5e8, away * 1e9, steep)

    found = Candidates.fitted(ask, torch.tensor([[7.0, 4.0]]), torch.tensor([[4.0], [0.0]]), 1)
    ones = [[2.0, 4.0], [7.0, 4.0], [2.0, 0.0], [7.0, 0.0]]
    others = [[1.0, 4.0], [7.0, 4.0], [1.0, 0.0], [7.0, 0.0]]
    torch.testing.assert_close(found.halves, torch.tensor([ones, others]))
    assert found.everybody[:, 0].tolist() == pytest.approx([3.0, 7.0, 3.0, 7.0])


def test_the_strongest_parts_alone_are_candidates_once() -> None:
    # by themselves they gain 8, 9 (but downwards), 1, 18, 0 and 2
    gradient = torch.tensor([-4.0, 3.0, -1.0, -6.0, 0.0, -2.0], dtype=torch.float64)
    curvature = torch.tensor([2.0, 1.0, 1.0, 2.0, 0.0, 2.0], dtype=torch.float64)

    def ask(weights: Tensor) -> FusionSums:
        loss = weights @ gradient + weights.square() @ curvature / 2
        return FusionSums(loss, gradient + weights * curvature, curvature.diag().expand(3, 6, 6))

    fixed = torch.stack((torch.ones(6), torch.eye(6)[3]))
    found = Candidates.fitted(ask, fixed, torch.zeros(1, 0), 6)
    assert torch.equal(found.everybody[1:], torch.cat((fixed, torch.eye(6)[[0, 5]])))
    assert torch.equal(found.halves[:, 1:], found.everybody[1:].expand(2, -1, -1))


def test_shares_are_covariances_with_the_fused_score_over_the_lists(asked: EvaluationSet) -> None:
    known = FusionData.of(MODEL, asked, Key(0))
    blend = torch.tensor([[2.0, -0.5]])
    parts = [
        own[there].double() * blend for own, there in zip(known.features, known.rival, strict=True)
    ]
    centred = torch.cat([(own - own.mean(0)) / len(own) ** 0.5 for own in parts])
    fused = centred.sum(1)
    expected = centred.T @ fused / (fused @ fused)
    at_zero = known.sums(torch.zeros(3, 2, dtype=torch.float64))
    torch.testing.assert_close(spread_shares(at_zero, blend, 2)[0], expected.float())
    kept = Candidates.fitted(known.sums, blend, torch.zeros(1, 0), 2).kept(1)
    torch.testing.assert_close(kept[SHARES], expected.float())


@pytest.mark.parametrize("by", ["time away", "length of the history"])
def test_weights_bend_with_what_decides_what_is_asked_for(
    asked: EvaluationSet, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first part knows what some users want, the second what others do."""
    clients = asked.clients
    others = clients.clients // 2 % 2 == 1
    if by == "time away":
        clients = replace(clients, away=torch.where(others, 1e8, 60.0).double())
        sets, counts = sets_of(False, True), torch.tensor([9, 9])
    else:
        others = clients.counts > clients.counts.median()
        sets, counts = sets_of(True, False), torch.stack(clients.counts.aminmax())
        monkeypatch.setattr(ops_bends, "SHORT", int(counts[0]))
        monkeypatch.setattr(ops_bends, "LONG", int(counts[1]))
    wanted = dict(zip(clients.clients.tolist(), asked.targets[:, 0].tolist(), strict=True))
    which = dict(zip(clients.clients.tolist(), others.long().tolist(), strict=True))

    def parts(clients: ClientBatch) -> Tensor:
        scores = parts_of(clients)
        for place, client in enumerate(clients.clients.tolist()):
            scores[which[client], place, wanted[client]] += 3
        return scores

    def chosen(sets: int) -> fusion.ChosenBlend:
        fixed, there = unbent(torch.ones(1, 2), sets), replace(asked, clients=clients)
        return choose_blend(Model(parts), there, fixed, torch.zeros(1, 0), Key(0))

    bending, straight = chosen(sets), chosen(1)
    blend = bending.kept["blend"].expand(2, -1)
    first, second = bent(blend, 2, counts, torch.tensor([0, 1e8]))
    assert first[0] > 2 * first[1].abs()
    assert second[1] > 2 * second[0].abs()
    better = (each.result.metrics["full"]["ndcg@10"] for each in (bending, straight))
    assert next(better) > next(better) + 0.05


def test_users_of_whom_no_time_is_known_are_in_a_visit(asked: EvaluationSet) -> None:
    assert asked.clients.away is None
    assert not bool(FusionData.of(MODEL, asked, Key(0)).away.any())
