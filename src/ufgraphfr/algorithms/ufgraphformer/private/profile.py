"""The profile part under a budget: who likes what, by their sentences, in one noised sum.

A client's coordinates P are a constant and the whitened principal directions of all sentences that
a profile may give, which are declared and public (`Source.every_text`); they are no longer than
one. It sends P y^T, y being its history on the most popular items at length one, beside P P^T. The
sums give the least-squares map from sentences to how much likelier than for others an item is.
Noise's variance is known, so the map is shrunk as an empirical-Bayes estimate, by direction and by
item: the variance of a direction over items is what noise and chance leave of it.
"""

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.graph.profile import LEAST
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.data.client_batches import ClientBatch

CONSTANT = 0.35
"""The first coordinate, by which items are counted as the others weigh them."""
MOMENTS = 0.2
"""Length of what is said of P P^T; a few sums over everybody need little."""
ITEMS = 50
"""Most popular items of which something is said: of others, noise would say more."""
PRIOR = 4.0
"""A sentence weighs as much as so many of the own items; as in `ColdUsersSpec`."""
_LEAST_VARIANCE = 0.02
"""Of a coordinate, relative to the mean one; below it the noise is divided by nothing."""
_RAREST = 0.002
"""Items are taken to count for at least so much of a client, or noise is divided by nothing."""
_TINY = 1e-3
"""Variance of a lift that is known well enough."""


def public_basis(texts: Tensor, rank: int) -> Tensor:
    """From sentences to coordinates, float ``[1 + width, at most rank]``, the offset first.

    Its shape does not depend on the sentences: a direction in which they do not differ is 0. So a
    node of a deployment, which does not embed them, knows what the server sends.

    Args:
        texts: float ``[sentences, width]``, all that a profile may give.
        rank: how many principal directions are asked for.
    """
    rows = torch.nn.functional.normalize(texts.double(), dim=1)
    mean = rows.mean(0)
    values, directions = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    values, directions = values.flip(0)[:rank], directions.flip(1)[:, :rank]
    there = values > 1e-6 * values[0].clamp(min=1e-12)
    scale = (values * int(there.sum())).sqrt()
    basis = torch.where(there, directions / scale.where(there, 1.0), 0.0)
    return torch.cat((-(mean @ basis)[None], basis)).float()


def coordinates(text: Tensor, basis: Tensor) -> Tensor:
    """Each client's coordinates, float ``[clients, 1 + rank]``, no longer than one."""
    own = torch.nn.functional.normalize(text, dim=1) @ basis[1:] + basis[0]
    own = own / own.norm(dim=1, keepdim=True).clamp(min=1.0)
    return torch.nn.functional.pad(own * (1 - CONSTANT**2) ** 0.5, (1, 0), value=CONSTANT)


def told(batch: ClientBatch, items: Tensor, basis: Tensor) -> Tensor:
    """What clients say, float ``[clients, (1 + rank) * (items + 1 + rank)]``, of length one."""
    own = coordinates(batch.text, basis)
    has = torch.zeros(len(batch), batch.n_items, device=items.device)
    has[owners(batch.ptr, len(batch.items)), batch.items] = 1.0
    history = torch.nn.functional.normalize(has[:, items], dim=1)
    both = torch.cat((history * (1 - MOMENTS**2) ** 0.5, own * MOMENTS), 1)
    return torch.einsum("cp,ci->cpi", own, both).flatten(1)


def lift_map(total: Tensor, clients: int, rank: int, std: float) -> Tensor:
    """From coordinates to how much likelier each of the items is, relative to all users.

    Args:
        total: the noised sum over clients of what is `told`, flat.
        clients: how many there are.
        rank: of the basis.
        std: of the noise on each number of the sum.

    Returns:
        float32 ``[1 + rank, items]``; coordinates times it, plus one, are the lift.
    """
    sums = total.double().view(1 + rank, -1)
    links = sums[:, : -1 - rank] / (1 - MOMENTS**2) ** 0.5
    moments = sums[:, -1 - rank :] / MOMENTS / clients
    moments = (moments + moments.T) / 2
    mean = moments[0, 1:] / CONSTANT
    values, turn = torch.linalg.eigh(moments[1:, 1:] - torch.outer(mean, mean))
    values = values.clamp(min=_LEAST_VARIANCE / max(1, rank))
    whitened = turn / values.sqrt()
    counts = (links[0] / CONSTANT).clamp(min=_RAREST * clients)
    # by items, so that what is said of everybody drops out
    centre = links[1:].sum(1) / counts.sum()
    lifts = whitened.T @ (links[1:] - torch.outer(centre, counts)) / counts
    # of the noise, and of who happens to be among the clients
    noise = (std / counts).square() / values[:, None] + clients / counts.sum() / counts
    weight = 1 / (noise.mean(0) + _TINY)
    weight = weight / weight.sum()
    spread, axes = torch.linalg.eigh((lifts * weight) @ lifts.T - torch.diag(noise @ weight))
    spread = spread.clamp(min=0)[:, None]
    kept = spread / (spread + axes.T.square() @ noise)
    found = whitened @ axes @ (kept * (axes.T @ lifts))
    return torch.cat((-(centre @ found)[None] / CONSTANT, found)).float()


def log_lift(text: Tensor, basis: Tensor, mapped: Tensor) -> Tensor:
    """How much likelier the items are by each client's sentence, a logarithm, [clients, items]."""
    return (1 + coordinates(text, basis) @ mapped).clamp(min=LEAST).log()
