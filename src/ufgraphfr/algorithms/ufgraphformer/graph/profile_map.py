"""From sums over clients to a map from profile vectors to items: who likes what, by their texts.

Let z_u be a user's text vector in the whitened principal directions of all users', and y_u its
history, weighted. Under z with covariance I the least-squares map of y is W = sum_u z_u y_u^T / n:
every user passes its history on to every other, weighted by the likeness of their texts. Were the
texts to say nothing, each row of W would have the squared length var(y) / n by chance alone. So W
is turned to its own principal directions, and each keeps the share of its squared length that
chance does not explain (an empirical-Bayes estimate; Efron and Morris, "Stein's estimation rule and
its competitors", JASA 1973). Data that are few or say nothing give zero, and no ridge is chosen.
"""

from functools import cache

import torch
from torch import Tensor

WIDTH = 64
"""Wider text vectors are projected to this width, at random and publicly, as the Transformer's."""
LEVELS = 63
"""A coordinate is told as a whole number up to this: six bits lose nothing measured."""
HEAVIEST = 16
"""The weight of a history of one item."""
REACH = 4.0
"""Coordinates are cut at so many standard deviations of those of a random unit vector."""
_ROUNDING = 1 / 12
"""Variance of rounding to whole numbers: directions below it say nothing."""
_TINY = 1e-12
"""Keeps a division finite."""


@cache
def projection(text_width: int) -> Tensor:
    """From text vectors of length one to as few numbers, float ``[text_width, width]``."""
    if text_width <= WIDTH:
        return torch.eye(text_width)
    generator = torch.Generator().manual_seed(0)
    drawn: Tensor = torch.randn(text_width, WIDTH, generator=generator) / WIDTH**0.5
    return drawn


def coordinates(text: Tensor) -> Tensor:
    """Text vectors as few and whole numbers, the same on every device.

    Args:
        text: float ``[clients, text_width]``; their lengths do not matter.

    Returns:
        float ``[clients, 1 + width]``: one, and whole numbers from 0 to `LEVELS`.
    """
    found = torch.nn.functional.normalize(text, dim=1) @ projection(text.shape[1]).to(text)
    reach = REACH / max(1, found.shape[1]) ** 0.5
    whole = ((found / reach + 1) * LEVELS / 2).round().clamp(0, LEVELS)
    return torch.nn.functional.pad(whole, (1, 0), value=1.0)


def history_weights(counts: Tensor) -> Tensor:
    """What each item of a history of so many counts: ``HEAVIEST / counts^(1/4)``, whole.

    Between counting each item alike, where a few with long histories say most, and each client.
    """
    weights: Tensor = HEAVIEST * counts.clamp(min=1) ** -0.25
    return weights.round() * (counts > 0)


def profile_map(moments: Tensor, sums: Tensor, rank: int | None) -> Tensor:
    """The map from coordinates to how much likelier than for others each item is.

    Args:
        moments: ``[1 + width, 1 + width]``, sum over clients of c c^T, c being `coordinates`.
        sums: ``[2 + width, items]``, sum over clients and their items of w (1, w, coordinates).
        rank: how many of the texts' principal directions count; None follows from the clients.

    Returns:
        float32 ``[1 + width, items]``: c times it is an item's expected count, relative to that
        over all users, minus one.
    """
    moments, sums = moments.double(), sums.double()
    clients = moments[0, 0].clamp(min=1)
    mean, popularity = moments[0, 1:] / clients, sums[0] / clients
    covariance = moments[1:, 1:] / clients - torch.outer(mean, mean)
    values, directions = torch.linalg.eigh(covariance)
    kept = (values > _ROUNDING) & (_descending(values) < (rank or derived_rank(int(clients))))
    basis = directions[:, kept] / values[kept].sqrt()
    links = basis.T @ (sums[2:] / clients - torch.outer(mean, popularity))
    chance = (sums[1] / clients - popularity.square()).sum() / clients
    energy, turn = torch.linalg.eigh(links @ links.T)
    said = (1 - chance / energy.clamp(min=_TINY)).clamp(min=0)
    mapped = basis @ (turn * said) @ (turn.T @ links) / popularity.clamp(min=_TINY)
    constant = -(mean @ mapped)
    return torch.cat((constant[None], mapped)).float()


def derived_rank(clients: int) -> int:
    """A direction for every 48 clients, from 1 to 32."""
    return min(32, max(1, clients // 48))


def _descending(ascending: Tensor) -> Tensor:
    """The place of each in descending order."""
    return torch.arange(len(ascending) - 1, -1, -1, device=ascending.device)
