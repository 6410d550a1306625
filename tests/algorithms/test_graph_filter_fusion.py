"""A fused family: each filter is the one it is called, and weights are checked and used."""

import pytest
import torch
from pydantic import ValidationError

from ufgraphfr.algorithms.graph_filter import GraphFilter
from ufgraphfr.algorithms.graph_filter_fusion import VECTORS, GraphFilterFusion
from ufgraphfr.core.messages import Task
from ufgraphfr.ops.fusion import squashed
from ufgraphfr.testing import SmallFederation, checkerboard

POWERS = {"history_powers": (0.6, 0.2), "item_powers": (0.5, 0.1), "ranks": (8, 3)}
OPERATOR = {"rounds": 2}


def scores_of(**keys: float) -> torch.Tensor:
    algorithm = GraphFilter(operator=OPERATOR, **keys)
    return squashed(SmallFederation.of(algorithm, checkerboard()).run(2).scores()[None])[0]


@pytest.fixture(scope="module")
def fused() -> SmallFederation:
    algorithm = GraphFilterFusion(operator=OPERATOR, **POWERS)
    return SmallFederation.of(algorithm, checkerboard()).run(2)


def test_each_part_is_the_filter_of_its_name(fused) -> None:
    model, batch = fused.algorithm, fused.batch
    task = Task(3, batch.clients, fused.state, {})
    parts = dict(zip(model.names, model.parts(task, batch, {}), strict=True))
    assert list(parts) == [
        *("hop 0.6/0.5", "hop 0.6/0.1", "hop 0.2/0.5", "hop 0.2/0.1"),
        *("low-pass 8/0.5", "low-pass 8/0.1", "low-pass 3/0.5", "low-pass 3/0.1"),
        "popularity",
    ]
    hop = scores_of(history_power=0.2, item_power=0.1, low_pass=0, rank=2)
    torch.testing.assert_close(parts["hop 0.2/0.1"], hop, atol=1e-4, rtol=1e-4)
    counts = torch.bincount(batch.items, minlength=batch.n_items).float()
    popularity = squashed(counts.log().expand(1, len(batch), -1))[0]
    torch.testing.assert_close(parts["popularity"], popularity)
    owner = torch.arange(len(batch)).repeat_interleave(batch.counts)
    weighted = torch.zeros(len(batch), batch.n_items)
    weighted[owner, batch.items] = counts[batch.items].rsqrt()
    for rank in model.ranks:
        vectors = fused.state[VECTORS][:, :rank]
        smooth = weighted @ vectors @ vectors.T * counts**0.9
        torch.testing.assert_close(parts[f"low-pass {rank}/0.1"], squashed([smooth])[0])


def test_scores_are_the_weighted_sum_of_what_is_said_of_each_part(fused) -> None:
    weights = tuple(float(place) for place in range(9))
    algorithm = GraphFilterFusion(operator=OPERATOR, weights=weights, **POWERS)
    federation = SmallFederation.of(algorithm, checkerboard()).run(2)
    task = Task(3, federation.batch.clients, federation.state, {})
    said = algorithm.contributions(federation.setting, task, federation.batch, {})
    torch.testing.assert_close(sum(said.values()), federation.scores())
    assert not torch.allclose(federation.scores(), fused.scores())


def test_as_many_weights_as_filters() -> None:
    with pytest.raises(ValidationError, match="weights has 2 numbers, and there are 9 filters"):
        GraphFilterFusion(weights=(1, 2), **POWERS)
