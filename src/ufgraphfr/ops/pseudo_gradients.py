"""Clients' sparse gradients among made-up ones, clipped and noised number by number.

Wu et al., "FedGNN", arXiv 2102.04925, sections 3.4 and 3.5. All draws are keyed by client.
"""

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key, Purpose

RIDGE = 1e-6
"""Added to a covariance, relative to its mean variance, so that it has a root."""


def with_pseudo(gradients: Rows, real: Tensor, key: Key, clients: Tensor) -> Tensor:
    """Gradients whose other rows are drawn from a Gaussian with the real ones' mean and covariance.

    Args:
        gradients: of all rows.
        real: bool ``[rows]``, which of them are real.
        key: seed and round.
        clients: int64 ``[clients]``, whose they are.

    Returns:
        float ``[rows, dim]``.
    """
    values, owner = gradients.values, gradients.owner
    dim = values.shape[1]
    count = _sum(real.to(values.dtype)[:, None], owner, len(clients)).clamp(min=1)
    mean = _sum(values * real[:, None], owner, len(clients)) / count
    centred = (values - mean[owner]) * real[:, None]
    place, longest = _places(gradients)
    padded = values.new_zeros(len(clients), longest, dim)
    padded[owner, place] = centred
    covariance = padded.double().mT @ padded.double() / count[..., None]
    # few rows span few directions; Cholesky's root, unlike eigenvectors, has no free signs
    ridge = RIDGE * covariance.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-30)
    covariance.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
    root = torch.linalg.cholesky(covariance).to(values.dtype)
    normal = torch.special.ndtri(_uniform(gradients, key.to(Purpose.PSEUDO_GRADIENTS), clients))
    padded[owner, place] = normal.to(values.dtype)
    drawn = (padded @ root.mT)[owner, place] + mean[owner]
    return torch.where(real[:, None], values, drawn)


def clipped_with_laplace(
    value: Tensor | Rows, clip: float, scale: float, key: Key, clients: Tensor
) -> Tensor | Rows:
    """Each number within ``[-clip, clip]``, plus Laplace noise.

    Args:
        value: dense ``[clients, ...]``, or rows; rows that are not there stay without noise.
        clip: the largest size.
        scale: of the noise.
        key: the stream of the noise.
        clients: int64 ``[clients]``, whose the numbers are.
    """
    numbers = value.values if isinstance(value, Rows) else value
    if isinstance(value, Rows):
        uniform = _uniform(value, key, clients)
    else:
        uniform = key.uniform(clients, value[0].numel()).view_as(value)
    centred = uniform - 0.5
    noise = -scale * centred.sign() * (1 - 2 * centred.abs()).log()
    noised = numbers.clamp(-clip, clip) + noise.to(numbers.dtype)
    return value.with_values(noised) if isinstance(value, Rows) else noised


def _uniform(rows: Rows, key: Key, clients: Tensor) -> Tensor:
    """A number for each number of the rows, in ``(0, 1)``, float64 ``[rows, dim]``."""
    place, longest = _places(rows)
    dim = rows.values.shape[1]
    drawn = key.uniform(clients, longest * dim).view(len(clients), longest, dim)
    return drawn[rows.owner, place]


def _places(rows: Rows) -> tuple[Tensor, int]:
    """Each row's place among its client's rows, int64 ``[rows]``, and the most rows of a client."""
    place = torch.arange(len(rows.index), device=rows.ptr.device) - rows.ptr[rows.owner]
    return place, int(rows.ptr.diff().max())


def _sum(values: Tensor, owner: Tensor, clients: int) -> Tensor:
    return values.new_zeros(clients, values.shape[1]).index_add_(0, owner, values)
