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

from ufgraphfr.core.arrays.sparse_rows import owners
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
_AT_ONCE = 2**20
"""Scores that are squashed together: they stay in the processor's cache meanwhile."""


def squash_for(items: int) -> Squash:
    """What suits a catalogue of so many items."""
    return "root" if items > ROOT_FROM else "log"


@dataclass(frozen=True)
class Reached:
    """Histories sent through an operator's links, which reach few of all items.

    Attributes:
        ptr: int64 ``[clients + 1]``, places in the concatenated histories.
        items: int64 ``[rows]``, these.
        weights: float ``[rows]``, of each.
        index: whole numbers ``[items, links]``, what an item is linked to.
        value: float ``[items, links]``, how much; zero is no link.
    """

    ptr: Tensor
    items: Tensor
    weights: Tensor
    index: Tensor
    value: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Clients and items."""
        return len(self.ptr) - 1, len(self.index)

    def dense(self) -> Tensor:
        """Each client's weighted sums of the operator's rows, float ``[clients, items]``."""
        found = self.value.new_empty(self.shape)
        self._add(slice(0, len(found)), found)
        return found

    def squash(self, into: Tensor, squash: Squash) -> None:
        """Write what `squashed` gives; all items that nothing reaches have the same."""
        first, items = 0, into.shape[1]
        for part in into.split(_clients_at_once(items)):
            owner, cells, added = self._add(slice(first, first := first + len(part)), part)
            reached = part.view(-1).index_select(0, cells).view_as(added)
            # what is at a place, times each number that was added there, is its square
            total, squares = (
                torch.bincount(owner, own.double(), len(part))
                for own in (added.sum(1), torch.linalg.vecdot(added, reached))
            )
            mean = total / items
            std = ((squares - total * mean).clamp(min=0) / max(1, items - 1)).sqrt()
            mean, std = mean.to(part)[:, None], std.to(part)[:, None]
            # where all items have the same, they have nothing
            std.masked_fill_(std == 0, torch.inf)
            part.copy_(_lighter(-mean / std, squash))
            reached.sub_(mean[owner]).div_(std[owner])
            part.view(-1).scatter_(0, cells, _lighter(reached, squash).view(-1))

    def _add(self, clients: slice, into: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Write sums, and tell for each row whose it is, where its numbers went, and these."""
        first, last = self.ptr[[clients.start, clients.stop]].tolist()
        rows, ptr = slice(first, last), self.ptr[clients.start : clients.stop + 1] - first
        owner, items = owners(ptr, last - first), self.items[rows]
        cells = (owner[:, None] * into.shape[1] + self.index.index_select(0, items)).view(-1)
        added = self.value.index_select(0, items) * self.weights[rows, None].to(self.value)
        # several times as fast as index_add_
        into.view(-1).zero_().scatter_add_(0, cells, added.view(-1))
        return owner, cells, added


Scorer: TypeAlias = Callable[[], Tensor | Reached]
"""Scores ``[clients, items]`` that are made when they are asked for."""


def _clients_at_once(items: int) -> int:
    """Whose scores stay in the processor's cache while they are worked on."""
    return max(1, _AT_ONCE // items)


def squashed(
    *parts: Iterable[Tensor | Scorer], squash: Squash = "log", used: Tensor | None = None
) -> Tensor:
    """Each user's z-scores with lighter tails, and their sign.

    Args:
        parts: each float ``[views, ..., items]``, or such views one by one.
        squash: how.
        used: bool ``[all views]``, which are made, one of them or more; the others are zero.

    Returns:
        float ``[all views, ..., items]``.
    """
    views, found = [view for part in parts for view in part], torch.empty(0)
    for place, view in enumerate(views):
        if used is not None and not used[place]:
            continue
        made = view() if callable(view) else view
        if not len(found):
            like = made if isinstance(made, Tensor) else made.value
            found = like.new_empty(len(views), *made.shape)
        if isinstance(made, Tensor):
            _squash(made, found[place], squash)
        else:
            made.squash(found[place], squash)
    if used is not None:
        found.index_fill_(0, (~used[: len(views)]).nonzero()[:, 0], 0)
    return found


def _squash(scores: Tensor, into: Tensor, squash: Squash) -> None:
    # one row stands for all where all users have the same scores
    alike = scores.dim() > 1 and scores.stride(0) == 0
    own = into[:1] if alike else into
    at_once = _clients_at_once(into.shape[-1])
    for some, part in zip(scores[: len(own)].split(at_once), own.split(at_once), strict=True):
        standardise(some, part)
        _lighter(part, squash)
    if alike:
        into[1:] = own


def _lighter(z: Tensor, squash: Squash) -> Tensor:
    """z-scores with lighter tails, in their place."""
    length = z.abs()
    length = length.log1p_() if squash == "log" else length.add_(1).sqrt_().sub_(1).mul_(2)
    return torch.copysign(length, z, out=z)


@dataclass(frozen=True)
class FusionSums:
    """Sums over users at some weights, for several fits at once.

    Attributes:
        loss: float64 ``[fits]``, negative log-likelihood.
        gradient: float64 ``[fits, weights]``.
        hessian: float64 ``[fits, weights, weights]``.
    """

    loss: Tensor
    gradient: Tensor
    hessian: Tensor

    def __add__(self, other: "FusionSums") -> "FusionSums":
        """The sums over two groups of users."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return FusionSums(*(one + another for one, another in pairs))


def fusion_sums(
    features: Tensor, rival: Tensor, bends: Tensor, member: Tensor, weights: Tensor
) -> FusionSums:
    """What some users add to a fit.

    A user's weights of the parts are ``bends`` times those that are fitted, see `ops.bends`.

    Args:
        features: float ``[users, 1 + draft, parts]``, of the held-out item and its rivals.
        rival: bool ``[users, 1 + draft]``, False for what is no rival.
        bends: float ``[users, bends]``, the first of them 1.
        member: bool ``[fits, users]``, which users count in which fit.
        weights: float64 ``[fits, bends * parts]``.
    """
    sums = []
    for own, weight in zip(member, weights.unflatten(1, (bends.shape[1], -1)), strict=True):
        f, b = features[own].double(), bends[own].double()
        logits = (f @ (b @ weight)[..., None])[..., 0].masked_fill_(~rival[own], -torch.inf)
        log_chance = logits.log_softmax(1)
        likely = log_chance.exp()[..., None] * f
        mean = likely.sum(1)
        gradient = b.T @ (mean - f[:, 0])
        # each user's covariance counts for each pair of its bends
        covariance = torch.baddbmm(mean[:, :, None] * mean[:, None], likely.mT, f, beta=-1)
        pairs = (b[:, :, None] * b[:, None]).flatten(1).T @ covariance.flatten(1)
        hessian = pairs.view(*(2 * weight.shape[:1]), *(2 * weight.shape[1:])).transpose(1, 2)
        size = weight.numel()
        sums.append((-log_chance[:, 0].sum(), gradient.flatten(), hessian.reshape(size, size)))
    return FusionSums(*(torch.stack(each) for each in zip(*sums, strict=True)))


def strongest(at_zero: FusionSums, parts: int) -> Tensor:
    """The parts that alone lower the loss of everybody most, as far as a parabola tells.

    Args:
        at_zero: the sums at weights of zero; the last fit is everybody's.
        parts: how many there are, whose weights whatever the time come first.

    Returns:
        int64 ``[at most STRONGEST]``, best first; a part that would need a negative weight is none.
    """
    gradient, curvature = at_zero.gradient[-1, :parts], at_zero.hessian[-1].diagonal()[:parts]
    gain = gradient.clamp(max=0).square() / curvature.clamp(min=torch.finfo(curvature.dtype).tiny)
    best = gain.topk(min(STRONGEST, len(gain)))
    return best.indices[best.values > 0]


def spread_shares(at_zero: FusionSums, weights: Tensor, parts: int) -> Tensor:
    """Each part's share of the fused score's variance over users' lists.

    The covariance of w_p f_p with w . f, over the variance of w . f: it may be negative, and adds
    up to one.

    Args:
        at_zero: the sums at weights of zero, whose Hessian is the covariance over the lists; the
            last fit is everybody's.
        weights: float ``[choices, bends * parts]``.
        parts: how many there are.

    Returns:
        float ``[choices, parts]``.
    """
    own: Tensor = weights * (weights @ at_zero.hessian[-1].to(weights))
    own = own.unflatten(1, (-1, parts)).sum(1)
    return own / own.sum(1, keepdim=True).clamp(min=torch.finfo(own.dtype).tiny)


def equal_weights(parts: int, width: int) -> Tensor:
    """Where a fit begins: two standard scores together, shared equally, whatever the time.

    There equal weights fit about best.

    Returns:
        float64 ``[width]``.
    """
    found = torch.zeros(width, dtype=torch.float64)
    found[:parts] = 2 / parts
    return found


def fit_fusion(ask: Callable[[Tensor], FusionSums], start: Tensor) -> Tensor:
    """The weights of each fit.

    Args:
        ask: from weights ``[fits, weights]`` to the sums there.
        start: float64 ``[fits, weights]``, where Newton's method begins, and to which weights are
            drawn.

    Returns:
        float64 ``[fits, weights]``.
    """
    at, best, step = start, start, torch.zeros_like(start)
    lowest = torch.full_like(start[:, 0], torch.inf)
    for _ in range(MAX_STEPS):
        sums = ask(at)
        away = at - start
        loss = sums.loss + RIDGE / 2 * away.square().sum(1)
        better = (loss <= lowest)[:, None]
        hessian = sums.hessian + RIDGE * torch.eye(at.shape[1], dtype=at.dtype)
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
