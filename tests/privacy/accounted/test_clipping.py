"""The bound holds for any input, exactly, in the whole numbers that are summed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.messages import per_client
from ufgraphfr.privacy.accounted.clipping import clip, lengths
from ufgraphfr.privacy.accounted.noise import grid_step

ANY = st.floats(width=32)


def made(data: st.DataObject, *shape: int) -> Tensor:
    count = int(torch.tensor(shape).prod())
    values = data.draw(st.lists(ANY, min_size=count, max_size=count))
    return torch.tensor(values).view(shape)


@given(data=st.data(), bound=st.floats(1e-3, 1e3), cap=st.none() | st.floats(1e-3, 1e3))
def test_no_client_and_no_row_exceeds_its_bound(
    data: st.DataObject, bound: float, cap: float | None
) -> None:
    arrays = per_client({"items": made(data, 2, 3, 2), "other": made(data, 2, 4)})
    step = grid_step(bound)
    clipped = clip(arrays, bound, step, cap)
    assert all(value.dense().dtype == torch.int64 for value in clipped.values())
    # all arrays of a client together, measured by another rule than the one that cut them
    whole = torch.cat([value.dense().double().flatten(1) for value in clipped.values()], dim=1)
    assert bool((whole.norm(dim=1) * step <= bound * (1 + 1e-12)).all())
    if cap is not None:
        rows = clipped["items"].dense().double().norm(dim=2) * step
        assert bool((rows <= cap * (1 + 1e-12)).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sparse", [False, True])
@given(
    scale=st.sampled_from([1e-7, 1e-3, 1.0, 300.0, 6e4]),
    bound=st.sampled_from([1e-6, 1e-3, 1.0, 1e3]),
    cap=st.none() | st.floats(1e-3, 10),
)
def test_half_precision_exceeds_no_bound(
    dtype: torch.dtype, sparse: bool, scale: float, bound: float, cap: float | None
) -> None:
    """Its own squares overflow, and so do steps of the grid."""
    tables = (torch.randn(2, 60, 3, generator=torch.Generator().manual_seed(0)) * scale).to(dtype)
    arrays = {"items": Rows.of(tables) if sparse else Dense(tables)}
    step = grid_step(bound)
    rows = clip(arrays, bound, step, cap)["items"].dense().double().norm(dim=2) * step
    assert bool((rows.norm(dim=1) <= bound).all())
    assert cap is None or bool((rows <= cap).all())
    if scale == 300 and cap is None:
        assert bool((rows.norm(dim=1) >= bound * 0.999).all())


@given(seed=st.integers(0, 1000), bound=st.floats(0.1, 10))
def test_changed_rows_are_clipped_as_the_tables_they_stand_for(seed: int, bound: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    tables = torch.randn(3, 5, 2, generator=generator)
    tables *= torch.rand(3, 5, 1, generator=generator) < 0.5
    step = grid_step(bound)
    sparse = clip({"items": Rows.of(tables)}, bound, step, 0.7)["items"]
    whole = clip({"items": Dense(tables)}, bound, step, 0.7)["items"]
    # float32 may measure the two apart by its last bits
    assert int((sparse.dense() - whole.dense()).abs().max()) <= 8


def test_what_is_short_enough_is_kept_to_a_step() -> None:
    values = torch.randn(4, 6)
    step = grid_step(100.0)
    kept = clip({"all": Dense(values)}, 100.0, step)["all"].dense().double() * step
    torch.testing.assert_close(kept, values.double(), atol=step, rtol=0)


def test_what_is_long_keeps_its_direction_at_the_bound() -> None:
    values = torch.randn(4, 60) * 50
    step = grid_step(1.0)
    clipped = clip({"all": Dense(values)}, 1.0, step)["all"].dense().double() * step
    torch.testing.assert_close(clipped.norm(dim=1), torch.ones(4).double(), atol=2e-5, rtol=0)
    cosine = torch.nn.functional.cosine_similarity(clipped, values.double())
    torch.testing.assert_close(cosine, torch.ones(4).double())


def test_the_bound_is_on_all_arrays_of_a_client_together() -> None:
    arrays = per_client(
        {"items": torch.tensor([[30.0, 0.0]]), "other": torch.tensor([[0.0, 40.0]])}
    )
    assert float(lengths(arrays)) == 50
    clipped = clip(arrays, 1.0, grid_step(1.0))
    found = [value.dense().double() * grid_step(1.0) for value in clipped.values()]
    expected = torch.tensor([[0.6, 0.0, 0.0, 0.8]], dtype=torch.float64)
    torch.testing.assert_close(torch.cat(found, dim=1), expected, atol=1e-5, rtol=0)


def test_nothing_comes_of_nobody_and_of_what_is_not_finite() -> None:
    nobody = clip({"all": Dense(torch.zeros(0, 3))}, 1.0, grid_step(1.0))["all"]
    assert nobody.dense().shape == (0, 3)
    bad = Dense(torch.tensor([[torch.nan, torch.inf, -torch.inf]]))
    assert clip({"all": bad}, 1.0, grid_step(1.0))["all"].dense().tolist() == [[0, 0, 0]]


def test_wide_updates_are_measured_in_pieces_and_cut_as_a_whole() -> None:
    # neither a whole number of pieces nor of what is put on the grid at a time
    wide = torch.randn(5, 2**18 + 77, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(lengths({"all": Dense(wide)}), wide.double().norm(dim=1))
    clipped = clip({"all": Dense(wide)}, 1.0, grid_step(1.0))["all"].dense()
    expected = (wide.double() / wide.double().norm(dim=1, keepdim=True) / grid_step(1.0)).trunc()
    assert int((clipped - expected.long()).abs().max()) <= 8
    assert bool((clipped.double().norm(dim=1) * grid_step(1.0) <= 1).all())
