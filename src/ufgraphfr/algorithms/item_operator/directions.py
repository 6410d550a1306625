"""The smoothest directions of the item operator: its eigenvectors of the largest eigenvalues."""

import torch
from torch import Tensor

from ufgraphfr.algorithms.item_operator.operator import COUNTS, applied
from ufgraphfr.core.messages import State

_TOLERANCE = 1e-5
"""Of an eigenvalue, relative: the directions of a low-pass are then those of an exact solver."""


def directions(state: State, count: int) -> tuple[Tensor, Tensor]:
    """Eigenvectors of P and their eigenvalues, the largest first.

    A catalogue of a few times as many items is decomposed whole. Of a larger one the restarted
    Lanczos method asks only for products with a vector: Lehoucq, Sorensen, Yang, "ARPACK users'
    guide", SIAM 1998. It runs on the CPU.

    Args:
        state: the server's memory with the whole operator.
        count: how many; at most the items.

    Returns:
        float32 ``[items, count]`` and ``[count]``.
    """
    items, like = len(state[COUNTS]), state[COUNTS]
    count = min(count, items)
    if items <= 4 * count:
        value, vectors = torch.linalg.eigh(applied(state, torch.eye(items).to(like)).double())
        return vectors.flip(1)[:, :count].to(like), value.flip(0)[:count].to(like)
    # imported where it is asked for: it takes a quarter of a second
    from scipy.sparse.linalg import LinearOperator, eigsh

    def times(vector: object) -> object:
        column = torch.as_tensor(vector, dtype=torch.float32).view(-1, 1).to(like.device)
        return applied(state, column)[:, 0].cpu().numpy()

    operator = LinearOperator((items, items), matvec=times, dtype="float32")
    # the same directions in every run, also where it has to start anew
    begin = {"v0": torch.ones(items).numpy(), "rng": 0}
    found, basis = eigsh(operator, count, which="LA", tol=_TOLERANCE, **begin)
    value, vectors = torch.from_numpy(found).to(like), torch.from_numpy(basis).to(like)
    order = value.argsort(descending=True)
    return vectors[:, order].contiguous(), value[order]
