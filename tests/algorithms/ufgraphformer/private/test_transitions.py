"""A client's transitions against loops over its history."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.private.transitions import (
    beyond_chance,
    followed,
    pairs_of,
    transitions_of,
)

CATALOGUE = 9


@pytest.fixture
def histories() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    lengths = [3, 0, 1, 9, 5, 2, 0]
    return [torch.randperm(CATALOGUE, generator=generator)[:n].tolist() for n in lengths]


def padded(histories: list[list[int]]) -> Tensor:
    last = torch.full((len(histories), CATALOGUE), -1)
    for client, own in enumerate(histories):
        last[client, : len(own)] = torch.tensor(own, dtype=torch.int64)
    return last


def slow_transitions(histories: list[list[int]], gaps: int) -> Tensor:
    counts = torch.zeros(CATALOGUE, CATALOGUE)
    for own in histories:
        for i, before in enumerate(own):
            for gap, after in enumerate(own[i + 1 : i + 1 + gaps], start=1):
                counts[before, after] += gap**-0.5
    return counts


@pytest.mark.parametrize("gaps", [1, 3, 40])
def test_transitions_one_by_one_sum_to_the_transitions(
    histories: list[list[int]], gaps: int
) -> None:
    owner, before, after, weight = followed(padded(histories), gaps)
    assert bool((owner.diff() >= 0).all())
    counts = torch.zeros(CATALOGUE, CATALOGUE)
    counts.index_put_((before, after), weight, accumulate=True)
    torch.testing.assert_close(counts, slow_transitions(histories, gaps))


def test_items_that_are_left_out_keep_their_place_in_time() -> None:
    owner, before, after, weight = followed(torch.tensor([[4, -1, 2, 7]]), 2)
    found = sorted(zip(before.tolist(), after.tolist(), weight.tolist(), strict=True))
    assert found == [(2, 7, 1.0), (4, 2, pytest.approx(0.5**0.5))]
    assert owner.tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_a_clients_transitions_have_length_one_whatever_items_count(
    histories: list[list[int]], seed: int
) -> None:
    last = padded(histories)
    damping = torch.rand(CATALOGUE, generator=torch.Generator().manual_seed(seed)) + 0.01
    among = last, torch.arange(CATALOGUE), damping, CATALOGUE
    told = torch.tensor([len(own) > 1 for own in histories])
    for sent in (transitions_of(*among, 8), pairs_of(*among, 8)):
        torch.testing.assert_close(sent.dense().flatten(1).norm(dim=1), told.float())


@pytest.mark.parametrize("most", [2, 4, CATALOGUE])
def test_pairs_are_those_of_the_last_kept_items_whatever_their_order(
    histories: list[list[int]], most: int
) -> None:
    kept = torch.tensor([8, 1, 3, 4, 0, 7])
    damping = torch.rand(len(kept), generator=torch.Generator().manual_seed(1)) + 0.01
    sent = pairs_of(padded(histories), kept, damping, CATALOGUE, most).dense()
    place = {item: at for at, item in enumerate(kept.tolist())}
    for client, own in enumerate(histories):
        expected = torch.zeros(len(kept), len(kept))
        last = [place[item] for item in own if item in place][-most:]
        for a in last:
            for b in last:
                if a < b:
                    expected[a, b] = damping[a] * damping[b]
        expected /= expected.norm().clamp(min=1e-12)
        torch.testing.assert_close(sent[client].view_as(expected), expected)


def test_what_frequencies_explain_is_taken_off() -> None:
    before, after = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([4.0, 1.0, 3.0])
    chance = torch.outer(before, after)
    torch.testing.assert_close(beyond_chance(chance), torch.zeros(3, 3), atol=1e-5, rtol=0)
    linked = chance.clone()
    linked[0, 1] += 10
    found = beyond_chance(linked)
    assert found.argmax() == 1
    assert float(found.sum().abs()) < 1e-4


def test_nothing_but_noise_stays_finite() -> None:
    noise = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    for links in (noise, -noise.abs(), torch.zeros(6, 6)):
        assert bool(beyond_chance(links).isfinite().all())
