"""Several targets of each user: each is ranked by itself, and every user counts once."""

import numpy as np
import pytest
import torch
from made_data import made_data
from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.split import HeldOut, Split, leave_one_out
from ufgraphfr.evaluation import fusion
from ufgraphfr.evaluation.fusion import FusionData
from ufgraphfr.evaluation.metric_sums import Model, evaluate, evaluate_blends
from ufgraphfr.evaluation.metrics import NAMES, values
from ufgraphfr.evaluation.protocol import EvaluationSet

USERS, ITEMS, MOST = 50, 200, 3


@pytest.fixture(scope="module")
def short() -> Split:
    """Users with 4 to 23 items: the first of them have fewer than three targets."""
    return leave_one_out(made_data(USERS, ITEMS, 4), targets=MOST)


@pytest.fixture(scope="module")
def everybody(short: Split) -> ClientBatch:
    return build(short, torch.empty(USERS, 0))


def scores_of(clients: ClientBatch) -> Tensor:
    """Few distinct values, so that targets tie with each other and with candidates; some NaN."""
    grid = clients.clients[:, None] * 7919 + torch.arange(clients.n_items) * 104729
    scores = (grid % 8675309 % 23).float()
    return scores.masked_fill(grid % 41 == 0, torch.nan)


def slow_rank(scores: Tensor, target: int, others: list[int]) -> float:
    """1 + #better + #ties / 2, NaN last."""
    own = float(scores[target])
    if np.isnan(own):
        return len(others) + 1
    rivals = [float(scores[item]) for item in others]
    return 1 + sum(r > own for r in rivals) + sum(r == own for r in rivals) / 2


@pytest.mark.parametrize("part", ["validation", "test"])
def test_each_target_is_ranked_without_the_others(
    short: Split, everybody: ClientBatch, part: HeldOut
) -> None:
    asked = EvaluationSet.of(everybody, short, part)
    found = evaluate(scores_of, asked, chunk=7)
    counts = (asked.targets >= 0).sum(1)
    assert set(counts.tolist()) == {1, 2, 3}
    users, full, sampled = [], [], []
    for place, user in enumerate(asked.clients.clients.tolist()):
        one = asked.clients.select(torch.tensor([place]))
        (scores,), targets = scores_of(one), [t for t in asked.targets[place].tolist() if t >= 0]
        others = sorted(set(range(ITEMS)) - set(one.items.tolist()) - set(targets))
        for target in targets:
            users.append(user)
            full.append(slow_rank(scores, target, others))
            sampled.append(slow_rank(scores, target, asked.rivals[place].tolist()))
    assert found.users.tolist() == users
    assert found.full.tolist() == full
    assert found.sampled.tolist() == sampled


def test_a_user_counts_once_however_many_targets_it_has(
    short: Split, everybody: ClientBatch
) -> None:
    found = evaluate(scores_of, EvaluationSet.of(everybody, short, "test"))
    for ranking, ranks in (("full", found.full), ("sampled99", found.sampled)):
        for name in NAMES:
            gains = values(name, ranks)
            each = [gains[found.users == user].mean() for user in np.unique(found.users)]
            assert found.metrics[ranking][name] == pytest.approx(np.mean(each))
            error = np.std(each, ddof=1) / np.sqrt(len(each))
            assert found.standard_errors[ranking][name] == pytest.approx(error)


def test_sums_of_a_device_are_over_users(short: Split, everybody: ClientBatch) -> None:
    asked = EvaluationSet.of(everybody, short, "test")
    found = evaluate_blends(Model.of(scores_of), torch.ones(1, 1), asked)
    means = found.sums()[0] / found.ranked()[:, None]
    assert found.ranked().tolist() == [USERS, USERS]
    expected = [list(each.values())[: len(NAMES)] for each in found.of(0).metrics.values()]
    assert means.numpy() == pytest.approx(np.array(expected))


def test_who_has_too_few_rivals_is_left_out_with_all_its_targets(
    short: Split, everybody: ClientBatch
) -> None:
    asked = EvaluationSet.of(everybody, short, "test")
    rivals = asked.rivals.clone()
    rivals[::2, -1] = -1
    found = evaluate_blends(
        Model.of(scores_of), torch.ones(1, 1), EvaluationSet(asked.clients, asked.targets, rivals)
    )
    assert found.ranked().tolist() == [USERS, USERS // 2]


def test_all_but_the_history_may_be_listed(short: Split, everybody: ClientBatch) -> None:
    """The targets of a user are no rivals of each other, but a top ten may show them all."""
    asked = EvaluationSet.of(everybody, short, "test")
    wanted = torch.zeros(USERS, ITEMS)
    row, column = (asked.targets >= 0).nonzero(as_tuple=True)
    wanted[asked.clients.clients[row], asked.targets[row, column]] = 1
    found = evaluate_blends(
        Model.of(lambda own: wanted[own.clients].masked_fill(wanted[own.clients] == 0, torch.nan)),
        torch.ones(1, 1),
        asked,
    )
    assert found.of(0).metrics["full"]["hr@10"] == found.of(0).metrics["full"]["mrr"] == 1
    assert found.covered[0].nonzero()[:, 0].tolist() == sorted(
        set(asked.targets[row, column].tolist())
    )


def test_a_fit_takes_each_target_and_no_other_as_its_rival(
    short: Split, everybody: ClientBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion, "DRAFT", 10_000)
    asked = EvaluationSet.of(everybody, short, "validation")
    # one part, whose score of an item is its number
    score = Model.of(lambda own: torch.arange(float(ITEMS)).repeat(len(own), 1))
    known = FusionData.of(score, asked, Key(0), chunk=7)
    rivals = [
        own[there, 0].int().tolist() for own, there in zip(known.features, known.rival, strict=True)
    ]
    expected = []
    for place in range(USERS):
        targets = [t for t in asked.targets[place].tolist() if t >= 0]
        history = asked.clients.select(torch.tensor([place])).items.tolist()
        free = set(range(ITEMS)) - set(history) - set(targets)
        expected += [[target, *sorted(free)] for target in targets]
    assert {len(t[t >= 0]) for t in asked.targets} == {1, 2, 3}
    assert sorted([own[0], *sorted(own[1:])] for own in rivals) == sorted(expected)


def test_a_fit_asks_for_so_many_items_and_not_users(
    short: Split, everybody: ClientBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion, "DRAFT", 10_000)
    monkeypatch.setattr(fusion, "MOST_ITEMS", 10 * MOST)
    asked = EvaluationSet.of(everybody, short, "validation")
    known = FusionData.of(Model.of(scores_of), asked, Key(0))
    assert 10 <= len(known.features) <= 10 * MOST
