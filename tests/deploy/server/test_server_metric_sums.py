"""Sums of nodes become means: over the users that each ranking asked."""

import pytest
import torch

from ufgraphfr.deploy.server.metric_sums import read_sums, total
from ufgraphfr.deploy.wire.message import Envelope, Malformed
from ufgraphfr.deploy.wire.payload import encode_arrays
from ufgraphfr.evaluation.metrics import NAMES
from ufgraphfr.evaluation.results import RANKINGS


def reply(full: int, sampled: int, gain: float) -> Envelope:
    sums = torch.zeros(2, len(RANKINGS), len(NAMES), dtype=torch.float64)
    sums[:, 0], sums[:, 1] = gain * full, gain * sampled
    return envelope({"sums": sums, "asked": torch.tensor([full, sampled])})


def envelope(arrays: dict[str, torch.Tensor]) -> Envelope:
    return Envelope("validate", "", "run", 1, "node-1", "", parts=(encode_arrays(arrays),))


def test_each_ranking_is_a_mean_over_those_it_asked() -> None:
    parts = [read_sums(reply(6, 2, 0.5), 2, 8, 9), read_sums(reply(4, 0, 1.0), 2, 4, 9)]
    found = total(parts).metrics(0)
    assert found["full"]["mrr"] == pytest.approx((3 + 4) / 10)
    assert found["sampled99"]["mrr"] == pytest.approx(0.5)


def test_a_ranking_that_asked_nobody_says_nothing() -> None:
    found = total([read_sums(reply(6, 0, 0.5), 2, 8, 9)]).metrics(0)
    assert found["sampled99"] == {}
    assert found["full"]["mrr"] == pytest.approx(0.5)


def test_popularity_is_told_where_every_node_tells_it() -> None:
    def told(gain: float | None) -> dict[str, torch.Tensor]:
        sums = torch.ones(1, len(RANKINGS), len(NAMES), dtype=torch.float64)
        arrays = {"sums": sums, "asked": torch.tensor([4, 4])}
        arrays["covered"] = torch.zeros(9, dtype=torch.uint8)
        if gain is not None:
            arrays["popularity"] = gain * 4 * sums[0]
        return read_sums(envelope(arrays), 1, 8, 9)

    found = total([told(0.25), told(0.75)]).of_popularity()
    assert found is not None
    assert found["full"]["mrr"] == pytest.approx(0.5)
    # a node of the release before says none, and the others' alone are of other users
    assert total([told(0.25), told(None)]).of_popularity() is None
    with pytest.raises(Malformed, match="no sum over these clients"):
        told(1.5)


@pytest.mark.parametrize(("full", "sampled"), [(9, 0), (4, 5), (-1, 0), (4, -1)])
def test_counts_that_cannot_be_are_refused(full: int, sampled: int) -> None:
    with pytest.raises(Malformed, match="no sum over these clients"):
        read_sums(reply(full, sampled, 0.0), 2, 8, 9)
