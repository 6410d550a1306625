"""Packed numbers come back as they were, and take the bits they say."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.core.arrays import bit_packing
from ufgraphfr.core.arrays.bit_packing import pack, unpack, width


@given(st.integers(1, 16), st.lists(st.integers(0, 2**16 - 1), max_size=40))
def test_numbers_come_back(bits: int, numbers: list[int]) -> None:
    values = torch.tensor(numbers, dtype=torch.int64) % 2**bits
    packed = pack(values, bits)
    assert packed.dtype == torch.uint8
    assert len(packed) == -(-len(numbers) * bits // 8)
    assert torch.equal(unpack(packed, bits, len(numbers)).long(), values)


@pytest.mark.parametrize("bits", [1, 3, 16])
def test_many_numbers_are_packed_a_part_at_a_time_and_alike(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = torch.arange(1001) % 2**bits
    whole = pack(values, bits)
    monkeypatch.setattr(bit_packing, "_AT_ONCE", 8)
    assert torch.equal(pack(values, bits), whole)
    assert torch.equal(unpack(whole, bits, 1001).long(), values)


@pytest.mark.parametrize(("largest", "bits"), [(0, 1), (1, 1), (2, 2), (7, 3), (8, 4), (255, 8)])
def test_width(largest: int, bits: int) -> None:
    assert width(largest) == bits


def test_too_few_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="8 bits cannot hold 3 numbers of 3"):
        unpack(torch.zeros(1, dtype=torch.uint8), 3, 3)


@pytest.mark.parametrize("bits", [0, 17, 10**11])
def test_bits_that_nobody_packs_are_refused_before_memory_is_taken(bits: int) -> None:
    with pytest.raises(ValueError, match=f"numbers of {bits} bits are not packed"):
        unpack(torch.zeros(0, dtype=torch.uint8), bits, 0)


def test_numbers_that_would_be_cut_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers of 17 bits are not packed"):
        pack(torch.tensor([2**16]), 17)
