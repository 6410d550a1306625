"""Learned fusion: coefficients of several scores, fitted by Newton's method on sums over users.

A user's scores f_p are fused to w . f. The equal sum drafts a list of ``DRAFT`` items for each
user, and w maximises the likelihood of the held-out item under a softmax over the list, for users
whose item is on it: re-ranking what may be shown is all that a top ten asks for, and items far
below would otherwise decide the fit. Loss, gradient and Hessian are sums over users of a few
hundred numbers, so a fit over devices is exact. Weights are drawn towards equal ones by a ridge.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ufgraphfr.ops.blend import standardise

Squash: TypeAlias = Literal["log", "root"]
"""How z-scores get lighter tails: log(1 + |z|), or 2 (sqrt(1 + |z|) - 1), which are heavier."""
ROOT_FROM = 5_000
"""Items, above which "root" is fused better: the more there are, the farther the best stand out,
and a logarithm leaves little of the differences between these."""
DRAFT = 200
RIDGE = 3.0
"""As if so many users had seen equal weights; 1 to 40 fit alike on MovieLens-100K and DeskDrop."""
STRONGEST = 3
"""So many parts are worth a trial alone."""
MAX_STEPS = 12
"""Times that a fit asks for sums, at most."""
_CLOSE = 1e-5
"""Steps smaller than this end the fit."""


def squash_for(items: int) -> Squash:
    """What suits a catalogue of so many items."""
    return "root" if items > ROOT_FROM else "log"


def squashed(*parts: Iterable[Tensor], squash: Squash = "log") -> Tensor:
    """Each user's z-scores with lighter tails, and their sign.

    Args:
        parts: each float ``[views, ..., items]``, or such views one by one.
        squash: how.

    Returns:
        float ``[all views, ..., items]``.
    """
    views = [view for part in parts for view in part]
    found = views[0].new_empty(len(views), *views[0].shape)
    # view by view, each of which stays in the processor's cache
    for view, into in zip(views, found, strict=True):
        # one row stands for all where all users have the same scores
        alike = view.dim() > 1 and view.stride(0) == 0
        own = into[:1] if alike else into
        standardise(view[: len(own)], own)
        torch.copysign(_lighter(own.abs(), squash), own, out=own)
        if alike:
            into[1:] = own
    return found


def _lighter(length: Tensor, squash: Squash) -> Tensor:
    """In the place of absolute z-scores."""
    if squash == "log":
        return length.log1p_()
    return length.add_(1).sqrt_().sub_(1).mul_(2)


@dataclass(frozen=True)
class FusionSums:
    """Sums over users at some weights, for several fits at once.

    Attributes:
        loss: float64 ``[fits]``, negative log-likelihood.
        gradient: float64 ``[fits, parts]``.
        hessian: float64 ``[fits, parts, parts]``.
    """

    loss: Tensor
    gradient: Tensor
    hessian: Tensor

    def __add__(self, other: "FusionSums") -> "FusionSums":
        """The sums over two groups of users."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return FusionSums(*(one + another for one, another in pairs))


def fusion_sums(features: Tensor, rival: Tensor, member: Tensor, weights: Tensor) -> FusionSums:
    """What some users add to a fit.

    Args:
        features: float ``[users, 1 + draft, parts]``, of the held-out item and its rivals.
        rival: bool ``[users, 1 + draft]``, False for what is no rival.
        member: bool ``[fits, users]``, which users count in which fit.
        weights: float64 ``[fits, parts]``.
    """
    sums = []
    for own, weight in zip(member, weights, strict=True):
        f = features[own].double()
        logits = (f @ weight).masked_fill(~rival[own], -torch.inf)
        log_chance = logits.log_softmax(1)
        chance = log_chance.exp()
        mean = torch.einsum("us,usp->up", chance, f)
        second = (chance.reshape(-1, 1) * f.flatten(0, 1)).T @ f.flatten(0, 1)
        gradient = (mean - f[:, 0]).sum(0)
        sums.append((-log_chance[:, 0].sum(), gradient, second - mean.T @ mean))
    return FusionSums(*(torch.stack(each) for each in zip(*sums, strict=True)))


def strongest(at_zero: FusionSums) -> Tensor:
    """The parts that alone lower the loss of everybody most, as far as a parabola tells.

    Args:
        at_zero: the sums at weights of zero; the last fit is everybody's.

    Returns:
        int64 ``[at most STRONGEST]``, best first; a part that would need a negative weight is none.
    """
    gradient, curvature = at_zero.gradient[-1], at_zero.hessian[-1].diagonal()
    gain = gradient.clamp(max=0).square() / curvature.clamp(min=torch.finfo(curvature.dtype).tiny)
    best = gain.topk(min(STRONGEST, len(gain)))
    return best.indices[best.values > 0]


def spread_shares(at_zero: FusionSums, weights: Tensor) -> Tensor:
    """Each part's share of the fused score's variance over users' lists.

    The covariance of w_p f_p with w . f, over the variance of w . f: it may be negative, and adds
    up to one.

    Args:
        at_zero: the sums at weights of zero, whose Hessian is the covariance over the lists; the
            last fit is everybody's.
        weights: float ``[choices, parts]``.
    """
    own = weights * (weights @ at_zero.hessian[-1].to(weights))
    return own / own.sum(1, keepdim=True).clamp(min=torch.finfo(own.dtype).tiny)


def fit_fusion(ask: Callable[[Tensor], FusionSums], start: Tensor) -> Tensor:
    """The weights of each fit.

    Args:
        ask: from weights ``[fits, parts]`` to the sums there.
        start: float64 ``[fits, parts]``, where Newton's method begins.

    Returns:
        float64 ``[fits, parts]``.
    """
    parts = start.shape[1]
    # two standard scores together, shared equally: where equal weights fit about best
    prior = torch.full_like(start, 2 / parts)
    at, best, step = start, start, torch.zeros_like(start)
    lowest = torch.full_like(start[:, 0], torch.inf)
    for _ in range(MAX_STEPS):
        sums = ask(at)
        away = at - prior
        loss = sums.loss + RIDGE / 2 * away.square().sum(1)
        better = (loss <= lowest)[:, None]
        hessian = sums.hessian + RIDGE * torch.eye(parts, dtype=at.dtype)
        newton = torch.linalg.solve(hessian, sums.gradient + RIDGE * away)
        # a step that made it worse is taken back by half
        best = torch.where(better, at, best)
        lowest = torch.minimum(loss, lowest)
        step = torch.where(better, newton, step / 2)
        at = best - step
        if bool(step.abs().max() < _CLOSE):
            return at
    # nobody has seen the last step
    return best
