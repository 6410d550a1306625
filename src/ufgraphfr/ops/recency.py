"""A history weighted by recency, sent through an item-item operator.

score[j] = sum over history items i of decay^age(i) * operator[i, j], where the last item has
age 0.
"""

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


def recency(ptr: Tensor, decay: float) -> Tensor:
    """The weight of each history item.

    Args:
        ptr: int64 ``[clients + 1]``, the clients' places in the concatenated histories.
        decay: in (0, 1]; 1 forgets nothing.

    Returns:
        float64 ``[rows]``: ``decay`` to the number of later items of the same client.
    """
    rows = int(ptr[-1])
    end = torch.repeat_interleave(ptr[1:], ptr.diff(), output_size=rows)
    age = end - 1 - torch.arange(rows, device=ptr.device)
    return decay ** age.double()


def propagate(ptr: Tensor, items: Tensor, weights: Tensor, operator: Tensor) -> Tensor:
    """Each client's weighted sum of the operator's rows at its history items.

    Args:
        ptr: int64 ``[clients + 1]``.
        items: int64 ``[rows]``.
        weights: float ``[rows]``.
        operator: float ``[items, width]``.

    Returns:
        float ``[clients, width]`` of the operator's type; zeros for an empty history.
    """
    if len(items) == 0:
        return operator.new_zeros(len(ptr) - 1, operator.shape[1])
    return embedding_bag(
        items,
        # column after column, as a decomposition leaves it, a row takes 25 times as long
        operator.contiguous(),
        ptr,
        mode="sum",
        per_sample_weights=weights.to(operator.dtype),
        include_last_offset=True,
    )
