"""Metrics from one pass over the users: each is scored once and ranked under every blend.

A simulation and the agents of a deployment call the same pass. What leaves an agent is sums over
its users; a simulation keeps the ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.core.workers import workers
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.metrics import (
    with_defaults,
)
from ufgraphfr.evaluation.metrics.base import ListMetric, Metric
from ufgraphfr.evaluation.protocol import EvaluationSet, Score, at_most, of_like_length
from ufgraphfr.evaluation.results import BlendResults, RankingResult
from ufgraphfr.evaluation.steps import counted
from ufgraphfr.ops.bends import bent
from ufgraphfr.ops.blend import weighted
from ufgraphfr.ops.ranking import each_rank, leave_candidates, sampled_ranks


@dataclass(frozen=True)
class Model:
    """A model as it is evaluated: its parts' scores, and what blends of them score.

    Attributes:
        parts: from clients with their input to float ``[parts, clients, items]``.
        blended: from clients, these scores and weights ``[choices, clients, blend]`` to float
            ``[choices, clients, items]``; by default the weighted sum, whose weights bend where
            there are more of them, see `ops.bends`.
    """

    parts: Callable[[ClientBatch], Tensor]
    blended: Callable[[ClientBatch, Tensor, Tensor], Tensor] = lambda clients, parts, weights: (
        weighted(parts, bent(weights, len(parts), clients.counts, clients.away))
    )

    @classmethod
    def of(cls, score: Score) -> "Model":
        """A model of one part."""
        return cls(lambda clients: score(clients)[None])


def half(clients: Tensor) -> Tensor:
    """Which half of the users each is in, int64 ``[clients]``; for fits that are validated."""
    return clients % 2


_AT_ONCE = 7
"""Blends formed by one product, at most: faster than fewer, and in bounded memory."""


def evaluate_blends(
    model: Model,
    choices: Tensor,
    asked: EvaluationSet,
    chunk: int = 256,
    metrics: tuple[Metric, ...] | None = None,
) -> BlendResults:
    """Rank every user's targets under every blend; scores are not kept.

    Args:
        model: its parts, and what blends of them are.
        choices: float ``[choices, blend]``, weights; or ``[2, choices, blend]``, for users of
            either `half`.
        asked: who is asked for what.
        chunk: clients at a time, at most: fewer where items are many.
        metrics: those that are asked for; None for the defaults.

    Raises:
        ValueError: scores of another shape.
    """
    users, items = asked.clients, asked.clients.n_items
    halves = choices if choices.dim() == 3 else choices.expand(2, *choices.shape)
    count = halves.shape[1]
    everybody, metrics = workers(), with_defaults() if metrics is None else metrics
    ranks = torch.zeros(2, count, *asked.targets.shape, dtype=torch.float64)
    lengths = sorted({each.at for each in metrics if isinstance(each, ListMetric)})
    listed = {at: torch.zeros(count, items, dtype=torch.int32) for at in lengths}
    own = of_like_length(users, everybody.own(users.clients))
    for places in counted(own, at_most(chunk, items)):
        clients = users.select(places)
        scored = model.parts(clients).detach()
        if scored.shape[1:] != (len(clients), items):
            raise ValueError(
                f"scores of shape {tuple(scored.shape[1:])} for {len(clients)} clients and {items} "
                f"items"
            )
        clients, weights = clients.to(scored.device), halves[half(clients.clients).cpu()]
        weights = weights.transpose(0, 1).to(scored)
        targets, rivals = (each[places].to(scored.device) for each in (asked.targets, asked.rivals))
        # few users have as many targets as the one who has most
        targets = targets[:, : int((targets >= 0).sum(1).max())]
        there = slice(targets.shape[1])
        for group in torch.arange(count).tensor_split(-(-count // _AT_ONCE)):
            scores = model.blended(clients, scored, weights[group])
            # no item of a history is a candidate, whatever the blend
            candidates = leave_candidates(scores, targets, clients.ptr, clients.items)
            ranks[0, group[:, None], places, there] = each_rank(scores, candidates, targets).cpu()
            ranks[1, group[:, None], places, there] = _sampled(scores, targets, rivals).cpu()
            for at, found in _listed(scores, lengths).items():
                listed[at][group] += found.cpu()
    listed = {at: everybody.total(found) for at, found in listed.items()}
    return _collected(asked, everybody.total(ranks), listed, metrics)


def _collected(
    asked: EvaluationSet, ranks: Tensor, listed: dict[int, Tensor], metrics: tuple[Metric, ...]
) -> BlendResults:
    """From ranks ``[rankings, choices, asked, targets]`` to those of the targets there are."""
    users, items = asked.clients, asked.clients.n_items
    there = asked.targets >= 0
    own = there.sum(1)
    # the other targets of a user are no candidates
    full = (items - users.counts - own + 1).repeat_interleave(own)
    candidates = torch.stack((full, torch.full_like(full, asked.rivals.shape[1] + 1)))
    known = torch.bincount(users.items, minlength=items)
    return BlendResults(
        users=users.clients.repeat_interleave(own).numpy(),
        ranks=ranks[..., there].numpy(),
        candidates=candidates.numpy(),
        listed=listed,
        known=(known.numpy(), len(users)),
        asked=metrics,
    )


def _sampled(scores: Tensor, targets: Tensor, rivals: Tensor) -> Tensor:
    """Each target's rank among itself and a client's rivals, ``[choices, clients, targets]``."""
    # what pads the targets has a rank too, which nobody reads
    each = [sampled_ranks(scores, target, rivals) for target in targets.clamp(min=0).unbind(1)]
    return torch.stack(each, -1)


def _listed(scores: Tensor, lengths: list[int]) -> dict[int, Tensor]:
    """In how many clients' top lists an item is, ``[choices, items]`` by length of a list.

    NaN is no candidate; the scores are changed.
    """
    if not lengths:
        return {}
    torch.nan_to_num(scores, nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf, out=scores)
    choices, n_items = len(scores), scores.shape[-1]
    best, items = scores.topk(min(lengths[-1], n_items), sorted=len(lengths) > 1)
    place = items + n_items * torch.arange(choices, device=scores.device)[:, None, None]
    shown = best > -torch.inf
    return {
        at: torch.bincount(place[..., :at][shown[..., :at]], minlength=choices * n_items)
        .view(choices, n_items)
        .int()
        for at in lengths
    }


def evaluate(
    score: Score,
    asked: EvaluationSet,
    chunk: int = 256,
    metrics: tuple[Metric, ...] | None = None,
) -> RankingResult:
    """Rank every user's targets by a model of one part; see `evaluate_blends`."""
    return evaluate_blends(Model.of(score), torch.ones(1, 1), asked, chunk, metrics).of(0)
