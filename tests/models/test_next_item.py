"""The sampled softmax against the full one: the same if all is sampled, unbiased if not."""

import pytest
import torch
from torch import Tensor

from ufgraphfr.models.next_item import cross_entropy, rows_needed, sampled_cross_entropy
from ufgraphfr.models.transformer import Transformer

NET = Transformer(items=11, text_width=5, dim=8, hidden=12, heads=2, blocks=2, history=6, text=True)
STRETCH = torch.tensor([[3, 1, 4, 7, 5], [9, 2, 6, -1, -1]])
ABSENT = torch.arange(11) == 8


@pytest.fixture
def weights() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return NET.init(generator) + 0.3 * torch.randn(NET.size, generator=generator)


def sampled(weights: Tensor, sample: Tensor) -> Tensor:
    text = torch.ones(2, NET.text_width)
    params = NET.unpack(weights, rows=rows_needed(STRETCH, sample))
    return sampled_cross_entropy(NET, params, STRETCH, text, None, ABSENT, sample)


def test_with_everything_sampled_it_is_the_full_softmax(weights: Tensor) -> None:
    text = torch.ones(2, NET.text_width)
    full = cross_entropy(NET, NET.unpack(weights), STRETCH, text, None, ABSENT)
    sample = torch.randperm(NET.items, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(sampled(weights, sample), full)


def test_the_denominator_is_unbiased(weights: Tensor) -> None:
    """Averaged over every sample of three, exp(loss) is that of the full softmax."""
    text, params = torch.ones(2, NET.text_width), NET.unpack(weights)
    full = cross_entropy(NET, params, STRETCH, text, None, ABSENT).exp()
    every = torch.combinations(torch.arange(NET.items), 3)
    means = torch.stack([sampled(weights, sample).exp() for sample in every])
    among = (every[:, :, None, None] == STRETCH).any(1)
    for hit in (True, False):
        chosen = (among == hit) & (STRETCH >= 0)
        mean = (means * chosen).sum(0) / chosen.sum(0)
        torch.testing.assert_close(mean[STRETCH >= 0], full[STRETCH >= 0])
