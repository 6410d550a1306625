"""Which blends are ranked for everybody, and that the result is that of ranking under it alone."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.split import Split
from ufgraphfr.evaluation import narrowing
from ufgraphfr.evaluation.metric_sums import Model, evaluate_blends
from ufgraphfr.evaluation.narrowing import best_blend, shuffled
from ufgraphfr.evaluation.protocol import EvaluationSet
from ufgraphfr.ops.blend import weighted

HALVES = torch.tensor([[[1.0, 0.1], [0.0, 1.0], [-1.0, 0.0], [1.0, 0.1001]]] * 2)
"""Good, chance, worst, and as good as the first up to what nobody can tell."""


@pytest.fixture
def asked(batch: ClientBatch, split: Split) -> EvaluationSet:
    return EvaluationSet.of(batch, split, "test")


def knowing(asked: EvaluationSet, seen: list[tuple[int, int]]) -> Model:
    """A part that knows the targets, and one that says anything; what is ranked is written down."""

    def parts(clients: ClientBatch) -> Tensor:
        generators = [torch.Generator().manual_seed(each) for each in clients.clients.tolist()]
        noise = [torch.randn(2, clients.n_items, generator=each) for each in generators]
        found = torch.stack(noise, dim=1)
        place = torch.searchsorted(asked.clients.clients, clients.clients)
        found[0, torch.arange(len(place)), asked.targets[place, 0]] += 2
        return found

    def blended(clients: ClientBatch, scores: Tensor, weights: Tensor) -> Tensor:
        seen.append((len(clients), len(weights)))
        return weighted(scores, weights)

    return Model(parts, blended)


def test_the_clearly_worse_are_ranked_for_no_more_users(
    asked: EvaluationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, users = list[tuple[int, int]](), len(asked.clients)
    model = knowing(asked, seen)
    monkeypatch.setattr(narrowing, "LOOKS", (20,))
    best, result = best_blend(model, HALVES, asked, Key(0))
    # two parts of the four blends stay: what is equal up to noise is not told apart
    assert sum(clients * blends for clients, blends in seen) == 20 * 4 + (users - 20) * 2
    assert best in (0, 3)
    alone = evaluate_blends(model, HALVES[:, [best]], asked).of(0)
    assert result.metrics == alone.metrics
    assert np.array_equal(result.users, alone.users)
    assert np.array_equal(result.full, alone.full)
    assert np.array_equal(result.sampled, alone.sampled, equal_nan=True)
    assert np.array_equal(result.candidates, alone.candidates)


def test_few_users_are_asked_about_all_blends(asked: EvaluationSet) -> None:
    seen = list[tuple[int, int]]()
    best, _ = best_blend(knowing(asked, seen), HALVES, asked, Key(0))
    assert sum(clients * blends for clients, blends in seen) == len(asked.clients) * 4
    gains = evaluate_blends(knowing(asked, seen), HALVES, asked).gains().sum(1)
    assert best == int(gains.round(9).argmax())


def test_a_favoured_blend_stays_where_none_is_clearly_better(asked: EvaluationSet) -> None:
    model = knowing(asked, [])
    for place, chosen in ((3, 3), (2, 0), (1, 0)):
        favoured = torch.arange(4) == place
        assert best_blend(model, HALVES, asked, Key(0), favoured=favoured)[0] == chosen


def test_nobody_is_asked(asked: EvaluationSet) -> None:
    _, result = best_blend(knowing(asked, []), HALVES, asked.select(torch.arange(0)), Key(0))
    assert not len(result.users)


def test_the_order_of_users_is_the_keys() -> None:
    users = torch.arange(100)
    assert torch.equal(shuffled(users, Key(0)), shuffled(users, Key(0)))
    assert not torch.equal(shuffled(users, Key(0)), shuffled(users, Key(1)))
    assert torch.equal(shuffled(users, Key(0)).sort().values, users)
