"""Local training of stacked clients on the rows they touch: plain SGD, batch after batch.

Only touched rows of the item table are held. For plain SGD with a pull towards the start this is
exact: a row that no sample touches has no gradient, and the pull on it is zero.

The loss of a client on a batch is ``mean BCE + pull * mean((E - start)^2)``, E being its whole
item table ``[items, dim]``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.ops.samples import Samples
from ufgraphfr.ops.touched import Touched

Params = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """One batch of the first ``clients`` clients of a stack.

    Attributes:
        number: from 0, within the epoch.
        row: int64 ``[clients, batch]``, rows of the touched table.
        time: int64 ``[clients, batch]``, see `Samples.time`.
        positive: float ``[clients, batch]``.
        weight: float ``[clients, batch]``, 1 / samples of the client's batch, 0 for padding.
    """

    number: int
    row: Tensor
    time: Tensor
    positive: Tensor
    weight: Tensor


Forward = Callable[[Params, Tensor, Tensor, Batch], Tensor]
"""(weights, item vectors ``[clients, batch, dim]``, touched table, batch) to logits."""

Descend = Callable[[Params, Params], None]
"""(weights, their gradients): update the weights in place."""


def batches(samples: Samples, rows: Touched, size: int) -> Iterator[Batch]:
    """Batches of ``size`` samples; a client that has run out of samples is left out.

    Clients must come with the most samples first, so that those left are the first ones.
    """
    if bool((samples.counts.diff() > 0).any()):
        raise ValueError("clients must be ordered from most to fewest samples")
    row = rows.rows(samples.item)
    counts = samples.counts
    for number, first in enumerate(range(0, int(counts.max()), size)):
        left = (counts[counts > first] - first).clamp(max=size)
        window = (slice(0, len(left)), slice(first, first + int(left.max())))
        inside = torch.arange(int(left.max()), device=left.device) < left[:, None]
        yield Batch(
            number=number,
            row=row[window],
            time=samples.time[window],
            positive=samples.positive[window],
            weight=inside / left[:, None].float(),
        )


def train_epoch(
    params: Params,
    table: Tensor,
    start: Tensor,
    rows: Touched,
    steps: Iterator[Batch],
    forward: Forward,
    descend: Descend,
    row_lr: float,
    decay: float,
) -> Tensor:
    """One epoch of SGD; ``params`` and ``table`` are updated in place.

    Args:
        params: stacked weights ``[clients, ...]``.
        table: float ``[rows, dim]``, the touched rows.
        start: float ``[rows, dim]``, where the pull leads.
        rows: which rows these are.
        steps: the batches.
        forward: the model.
        descend: the update of the weights.
        row_lr: learning rate of item rows.
        decay: share of a row's distance from its start that one batch removes,
            ``row_lr * pull * 2 / (items * dim)``.

    Returns:
        float ``[clients]``, each client's mean BCE over its batches.
    """
    clients, dim = len(rows.ptr) - 1, table.shape[1]
    loss = table.new_zeros(clients)
    taken = table.new_zeros(clients)
    for batch in steps:
        active = len(batch.row)
        trained = int(rows.ptr[active])
        weights = {name: value[:active].detach().requires_grad_() for name, value in params.items()}
        flat = batch.row.flatten()
        vectors = table.index_select(0, flat).view(active, -1, dim).requires_grad_()
        output = forward(weights, vectors, table, batch)
        terms = F.binary_cross_entropy_with_logits(output, batch.positive, reduction="none")
        losses = (terms * batch.weight).sum(1)
        gradients = torch.autograd.grad(losses.sum(), [vectors, *weights.values()])
        if decay:
            table[:trained].lerp_(start[:trained], decay)
        moved = gradients[0].view(-1, dim).mul_(-row_lr)
        # three times as fast as index_add_ on a CPU
        table.scatter_add_(0, flat[:, None].expand_as(moved), moved)
        descend(
            {name: value[:active] for name, value in params.items()},
            dict(zip(weights, gradients[1:], strict=True)),
        )
        loss[:active] += losses.detach()
        taken[:active] += 1
    return loss / taken.clamp(min=1)
