"""Factored cosines against cosines of the written-out outer products."""

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.algorithms.ufgraphfr.user_graph import factored_cosine


@given(
    left=st.integers(1, 4),
    right=st.integers(1, 4),
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    seed=st.integers(0, 2**31),
)
def test_cosines_are_those_of_the_written_out_products(
    left: int, right: int, widths: list[int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def factors(rows: int) -> tuple[torch.Tensor, ...]:
        return tuple(torch.randn(rows, width, generator=generator) for width in widths)

    def written(parts: tuple[torch.Tensor, ...], row: int) -> torch.Tensor:
        product = parts[0][row]
        for part in parts[1:]:
            product = torch.outer(product, part[row]).flatten()
        return product

    ours, theirs = factors(left), factors(right)
    result = factored_cosine(ours, theirs)
    assert result.shape == (left, right)
    for m in range(left):
        for n in range(right):
            expected = F.cosine_similarity(written(ours, m), written(theirs, n), dim=0)
            torch.testing.assert_close(result[m, n], expected, atol=1e-5, rtol=0)


def test_a_client_that_changed_nothing_is_like_nobody() -> None:
    text, step = torch.ones(2, 3), torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    result = factored_cosine((step, text), (step, text))
    torch.testing.assert_close(result, torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
