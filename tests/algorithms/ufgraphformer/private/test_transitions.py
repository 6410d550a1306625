"""A client's transitions against loops over its history."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.private.transitions import followed

CATALOGUE = 9


@pytest.fixture
def histories() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    lengths = [3, 0, 1, 9, 5, 2, 0]
    return [torch.randperm(CATALOGUE, generator=generator)[:n].tolist() for n in lengths]


def slow_transitions(histories: list[list[int]], gaps: int) -> Tensor:
    counts = torch.zeros(CATALOGUE, CATALOGUE)
    for own in histories:
        for i, before in enumerate(own):
            for gap, after in enumerate(own[i + 1 : i + 1 + gaps], start=1):
                counts[before, after] += 1 / gap
    return counts


@pytest.mark.parametrize("gaps", [1, 3, 40])
def test_transitions_one_by_one_sum_to_the_transitions(
    histories: list[list[int]], gaps: int
) -> None:
    recent = torch.full((len(histories), CATALOGUE), -1)
    for client, own in enumerate(histories):
        recent[client, : len(own)] = torch.tensor(own, dtype=torch.int64)
    owner, before, after, weight = followed(recent, gaps)
    assert bool((owner.diff() >= 0).all())
    counts = torch.zeros(CATALOGUE, CATALOGUE)
    counts.index_put_((before, after), weight, accumulate=True)
    torch.testing.assert_close(counts, slow_transitions(histories, gaps))


def test_items_that_are_left_out_keep_their_place_in_time() -> None:
    owner, before, after, weight = followed(torch.tensor([[4, -1, 2, 7]]), 2)
    found = sorted(zip(before.tolist(), after.tolist(), weight.tolist(), strict=True))
    assert found == [(2, 7, 1.0), (4, 2, 0.5)]
    assert owner.tolist() == [0, 0]
