"""The noise is Laplace of the promised scale, keyed by client, and claims nothing."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, per_client
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.privacy.base import Arrays, Mechanism
from ufgraphfr.privacy.laplace_as_published import LaplaceAsPublished

KEY = Key(7).at(3)


def noise(
    mechanism: Mechanism, key: Key, clients: Tensor, *shape: int, name: str = "joint"
) -> Tensor:
    """What is added to zeros."""
    arrays = per_client({name: torch.zeros(len(clients), *shape)})
    return mechanism.privatize(arrays, clients, key)[name].dense()


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_the_noise_has_the_laplace_distribution(scale: float) -> None:
    drawn = noise(LaplaceAsPublished(scale=scale), KEY, torch.arange(200), 500).flatten()
    # 100,000 draws tell a scale from one 2 % off
    assert stats.kstest(drawn.numpy(), "laplace", args=(0, scale)).pvalue > 0.01
    assert stats.kstest(drawn.numpy(), "laplace", args=(0, 1.02 * scale)).pvalue < 0.01
    assert float(drawn.std()) == pytest.approx(scale * 2**0.5, rel=0.02)


def test_draws_are_independent_over_clients_entries_rounds_and_arrays() -> None:
    clients = torch.arange(4)
    both = LaplaceAsPublished(arrays=("joint", "other"))
    arrays = per_client({"joint": torch.zeros(4, 2000), "other": torch.zeros(4, 2000)})
    first = both.privatize(arrays, clients, KEY)
    later = both.privatize(arrays, clients, KEY.at(4))
    seeded = both.privatize(arrays, clients, Key(8).at(3))
    drawn = [made[name] for made in (first, later, seeded) for name in ("joint", "other")]
    streams = torch.cat([value.dense() for value in drawn])
    assert streams.shape == (24, 2000)
    apart = torch.corrcoef(streams).fill_diagonal_(0).abs()
    # five standard errors of a correlation
    assert float(apart.max()) < 5 / 2000**0.5
    shifted = torch.corrcoef(torch.stack((streams[0, 1:], streams[0, :-1])))
    assert abs(float(shifted[0, 1])) < 5 / 2000**0.5


@given(
    clients=st.lists(st.integers(0, 2**31), min_size=1, max_size=6, unique=True),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    data=st.data(),
)
def test_a_clients_noise_depends_on_nobody_else(
    clients: list[int], shape: list[int], data: st.DataObject
) -> None:
    mechanism = LaplaceAsPublished()
    together = noise(mechanism, KEY, torch.tensor(clients), *shape)
    place = data.draw(st.integers(0, len(clients) - 1))
    alone = noise(mechanism, KEY, torch.tensor([clients[place]]), *shape)
    assert torch.equal(together[place], alone[0])


@given(
    value=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=8), seed=st.integers(0, 9)
)
def test_noise_is_added_to_whatever_is_there(value: list[float], seed: int) -> None:
    mechanism, clients = LaplaceAsPublished(scale=0.5), torch.tensor([4])
    array = torch.tensor([value])
    before = array.clone()
    made = mechanism.privatize({"joint": Dense(array)}, clients, Key(seed))["joint"].dense()
    expected = array + noise(mechanism, Key(seed), clients, len(value))
    assert made.dtype == array.dtype
    torch.testing.assert_close(made, expected)
    assert torch.equal(array, before)


def test_other_arrays_and_the_server_side_are_left_alone() -> None:
    mechanism = LaplaceAsPublished()
    clients = torch.arange(2)
    items = Rows.of(torch.ones(2, 3, 4))
    arrays = per_client({"joint": torch.zeros(2, 4), "items": items, "other": torch.zeros(2, 3)})
    made = mechanism.privatize(arrays, clients, KEY)
    assert made["items"] is items
    assert made["other"] is arrays["other"]
    report = Report(1, clients, made, Aggregation.PER_CLIENT, loss=torch.zeros(2))
    assert mechanism.finalize(report, KEY) is report
    assert mechanism.guarantee.startswith("no privacy guarantee")


@pytest.mark.parametrize("name", ["joint", "items"])
def test_an_array_that_is_not_uploaded_densely_is_refused(name: str) -> None:
    arrays: Arrays = {
        "items": Rows.of(torch.ones(1, 2, 2)),
        "joint.text": Dense(torch.zeros(1, 2)),
        "joint.step": Dense(torch.zeros(1, 2)),
    }
    message = (
        f"[privacy] arrays names '{name}', but the algorithm uploads only "
        f"['joint.step', 'joint.text'] densely"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        LaplaceAsPublished(arrays=(name,)).privatize(arrays, torch.arange(1), KEY)


@pytest.mark.parametrize("scale", [0, -1])
def test_a_scale_must_be_positive(scale: float) -> None:
    with pytest.raises(InputError, match="greater than 0"):
        MECHANISMS.build("laplace-as-published", {"scale": scale}, "[privacy]")
