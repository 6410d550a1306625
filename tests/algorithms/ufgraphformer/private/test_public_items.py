"""Columns of public item knowledge."""

import math

import pytest
import torch

from ufgraphfr.algorithms.ufgraphformer.private.public_items import (
    item_columns,
    narrowed,
    popularity_levels,
    text_similarity,
    titles,
)


def test_features_and_text_stand_side_by_side() -> None:
    features = torch.nn.functional.normalize(torch.rand(50, 4), dim=1)
    text = torch.randn(50, 64)
    columns = item_columns(50, features, text)
    assert columns.shape == (50, 4 + 32)
    assert torch.equal(columns[:, :4], features)
    assert float(columns[:, 4:].norm(dim=1).mean()) == pytest.approx(0.7, rel=1e-5)
    assert item_columns(50, None, None).shape == (50, 0)
    assert item_columns(50, None, text[:, :3]).shape == (50, 3)


def test_principal_components_keep_what_tells_items_apart() -> None:
    text = torch.randn(60, 2) @ torch.randn(2, 20) + torch.randn(20)
    kept = item_columns(60, None, text)
    centred = text - text.mean(0)
    ratio = torch.cdist(kept, kept) / torch.cdist(centred, centred).clamp(min=1e-9)
    off = ~torch.eye(60, dtype=torch.bool)
    assert float(ratio[off].std() / ratio[off].mean()) < 1e-2


@pytest.mark.parametrize("width", [2, 16])
def test_narrowed_rows_are_no_longer_than_one(width: int) -> None:
    rows = narrowed(torch.randn(30, 7) * 5, width)
    assert rows.shape == (30, width)
    assert float(rows.norm(dim=1).max()) == pytest.approx(1)


def test_items_are_close_to_their_own_level_of_popularity() -> None:
    levels = popularity_levels(torch.linspace(0, 8, 101))
    assert levels.shape == (101, 10)
    torch.testing.assert_close(levels.norm(dim=1), torch.full((101,), 0.7))
    places = levels.argmax(1)
    assert bool((places.diff() >= 0).all())
    assert len(places.unique()) >= 7
    assert bool(popularity_levels(torch.zeros(5)).isfinite().all())


def test_titles_are_of_length_one_or_not_there() -> None:
    rows = titles(50, torch.randn(50, 200))
    assert rows.shape == (50, 50)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(50))
    assert titles(300, torch.randn(300, 200)).shape == (300, 128)
    assert titles(7, None).shape == (7, 0)


@pytest.mark.parametrize("block", [3, 2048])
def test_what_is_like_a_history_is_one_step_over_a_graph_without_loops(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ufgraphfr.algorithms.ufgraphformer.private.public_items._BLOCK", block)
    generator = torch.Generator().manual_seed(2)
    rows = torch.nn.functional.normalize(torch.randn(8, 5, generator=generator), dim=1)
    history = torch.rand(4, 8, generator=generator)
    # nobody has these
    history[:, [0, 3, 7]] = 0
    links = torch.zeros(8, 8)
    for i in range(8):
        for j in range(8):
            if i != j:
                links[i, j] = math.exp(10 * (float(rows[i] @ rows[j]) - 1))
    expected = history @ (links / links.sum(0).sqrt())
    torch.testing.assert_close(text_similarity(history, rows), expected)
