"""Transitions against loops over clients."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.baselines.markov import transitions

CATALOGUE = 9


@pytest.fixture
def histories() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    lengths = [3, 0, 1, 9, 5, 2, 0]
    return [torch.randperm(CATALOGUE, generator=generator)[:n].tolist() for n in lengths]


def csr(histories: list[list[int]]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([0, *map(len, histories)])
    items = torch.tensor([item for own in histories for item in own], dtype=torch.int64)
    return lengths.cumsum(0), items


def slow_transitions(histories: list[list[int]], gaps: int) -> Tensor:
    counts = torch.zeros(CATALOGUE, CATALOGUE)
    for own in histories:
        for i, before in enumerate(own):
            for gap, after in enumerate(own[i + 1 : i + 1 + gaps], start=1):
                counts[before, after] += 1 / gap
    return counts


@pytest.mark.parametrize("gaps", [1, 2, 5, 40])
def test_transitions(histories: list[list[int]], gaps: int) -> None:
    before, after, counts = transitions(*csr(histories), CATALOGUE, gaps)
    assert bool(((before * CATALOGUE + after).diff() > 0).all())
    ours = torch.zeros(CATALOGUE, CATALOGUE)
    ours[before, after] = counts
    torch.testing.assert_close(ours, slow_transitions(histories, gaps))
