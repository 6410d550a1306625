"""What is remembered of tensors, and when it is made again."""

import gc
import weakref

import torch
from torch import Tensor

from ufgraphfr.core.arrays.memo import memo


def test_it_is_made_once_for_the_same_tensors_and_numbers() -> None:
    asked: list[float] = []

    @memo
    def scaled(values: Tensor, factor: float) -> Tensor:
        asked.append(factor)
        return values * factor

    values, equal = torch.ones(3), torch.ones(3)
    assert scaled(values, 2.0) is scaled(values, 2.0)
    assert asked == [2.0]
    assert scaled(values, 3.0).tolist() == [3.0] * 3
    scaled(equal, 3.0)
    scaled(values, 3.0)
    assert asked == [2.0, 3.0, 3.0, 3.0]


def test_it_holds_no_tensor_and_takes_no_new_one_for_an_old_one() -> None:
    @memo
    def total(values: Tensor) -> float:
        return float(values.sum())

    values = torch.ones(3)
    gone = weakref.ref(values)
    assert total(values) == 3
    del values
    gc.collect()
    assert gone() is None
    # a new tensor may lie where the old one lay
    assert [total(torch.full((3,), float(value))) for value in range(5)] == [0, 3, 6, 9, 12]
