"""Metrics from one pass over the users: each is scored once and ranked under every blend.

A simulation and the agents of a deployment call the same pass. What leaves an agent is sums over
its users; a simulation keeps the ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.core.workers import workers
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.metrics import (
    COVERAGE,
    SELECTED_BY,
    per_user,
    ranked,
    standard_errors,
    summary,
    user_values,
    values,
    with_defaults,
)
from ufgraphfr.evaluation.metrics.base import ListMetric, Metric, TopLists
from ufgraphfr.evaluation.protocol import EvaluationSet, Score, at_most
from ufgraphfr.evaluation.steps import counted
from ufgraphfr.ops.blend import weighted
from ufgraphfr.ops.ranking import each_rank, leave_candidates, sampled_ranks


@dataclass(frozen=True)
class Model:
    """A model as it is evaluated: its parts' scores, and what blends of them score.

    Attributes:
        parts: from clients with their input to float ``[parts, clients, items]``.
        blended: from clients, these scores and weights ``[choices, clients, blend]`` to float
            ``[choices, clients, items]``; by default the weighted sum.
    """

    parts: Callable[[ClientBatch], Tensor]
    blended: Callable[[ClientBatch, Tensor, Tensor], Tensor] = lambda _clients, parts, weights: (
        weighted(parts, weights)
    )

    @classmethod
    def of(cls, score: Score) -> "Model":
        """A model of one part."""
        return cls(lambda clients: score(clients)[None])


def half(clients: Tensor) -> Tensor:
    """Which half of the users each is in, int64 ``[clients]``; for fits that are validated."""
    return clients % 2


RANKINGS = ("full", "sampled99")
"""Among all items not interacted with, and among the target and 99 sampled ones, for those users
who never touched so many."""

_AT_ONCE = 7
"""Blends formed by one product, at most: faster than fewer, and in bounded memory."""


@dataclass(frozen=True)
class RankingResult:
    """What came out for each target of each user that was asked.

    Attributes:
        users: int64 ``[targets]``, the data set's numbers, ascending: as often as a user has
            targets.
        full: float64 ``[targets]``, the target's rank in the full ranking.
        sampled: float64 ``[targets]``, its rank among itself and 99 sampled items; NaN for a user
            who never touched fewer than 99.
        candidates: int64 ``[rankings, targets]``, how many items were ranked.
        lists: the best items of the full ranking, by length of a list.
        asked: the metrics that are asked for.
    """

    users: NDArray[np.int64]
    full: NDArray[np.float64]
    sampled: NDArray[np.float64]
    candidates: NDArray[np.int64]
    lists: dict[int, TopLists]
    asked: tuple[Metric, ...]

    @property
    def coverage(self) -> float:
        """The share of the items that are in somebody's top ten of the full ranking."""
        return self.metrics["full"][f"coverage@{COVERAGE}"]

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Means by ranking and metric, e.g. ``metrics["full"]["ndcg@10"]``.

        ``sampled99`` is empty if no user can be asked.
        """
        full, sampled = (summary(*each) for each in self._rankings())
        for each in self.asked:
            if isinstance(each, ListMetric):
                full[each.name] = each.value(self.lists[each.at])
        return {"full": full, "sampled99": sampled}

    @property
    def standard_errors(self) -> dict[str, dict[str, float]]:
        """Of those means, over users; none of what lists give."""
        found = (standard_errors(*each) for each in self._rankings())
        return dict(zip(RANKINGS, found, strict=True))

    def _rankings(self) -> list[tuple[Any, ...]]:
        ranks = (self.full, self.sampled)
        return [
            (own, self.users, self.asked, candidates)
            for own, candidates in zip(ranks, self.candidates, strict=True)
        ]


@dataclass(frozen=True)
class BlendResults:
    """What came out under each blend.

    Attributes:
        users: int64 ``[targets]``, the clients' numbers: as often as a user has targets.
        ranks: float64 ``[rankings, choices, targets]``.
        candidates: int64 ``[rankings, targets]``, how many items were ranked.
        listed: int32 ``[choices, items]`` by length of a list: in how many of the lists of the
            full ranking's best an item is.
        known: int64 ``[items]``, and how many users there are, see `TopLists`.
        asked: the metrics that are asked for.
    """

    users: NDArray[np.int64]
    ranks: NDArray[np.float64]
    candidates: NDArray[np.int64]
    listed: dict[int, Tensor]
    known: tuple[NDArray[np.int64], int]
    asked: tuple[Metric, ...]

    @property
    def covered(self) -> Tensor:
        """bool ``[choices, items]``, whether an item is in somebody's top ten."""
        return self.listed[COVERAGE] > 0

    def best(self) -> int:
        """The choice that `SELECTED_BY` prefers."""
        gains = per_user(values(SELECTED_BY, self.ranks[0]), self.users)
        return best_choice(torch.from_numpy(gains.sum(1)))

    def of(self, choice: int) -> RankingResult:
        """The result under one choice."""
        full, sampled = self.ranks[:, choice]
        lists = {
            at: TopLists(listed[choice].numpy().astype(np.int64), *self.known)
            for at, listed in self.listed.items()
        }
        return RankingResult(self.users, full, sampled, self.candidates, lists, self.asked)

    def sums(self) -> Tensor:
        """Sums of the metrics of ranks over the users, float64 ``[choices, rankings, metrics]``."""
        each = np.stack([np.nansum(found, -1) for found in self._by_user()], axis=-1)
        return torch.from_numpy(each).transpose(0, 1).contiguous()

    def by_user(self) -> Tensor:
        """The first choice's metrics by user, ``[users, rankings, metrics]``; NaN for no rank."""
        each = np.stack([found[:, 0] for found in self._by_user()], axis=-1)
        return torch.from_numpy(each).transpose(0, 1).contiguous()

    def _by_user(self) -> list[NDArray[np.float64]]:
        """One metric after the other, each ``[rankings, choices, users]``."""
        candidates = np.broadcast_to(self.candidates[:, None], self.ranks.shape)
        return [
            user_values(each, self.ranks, self.users, candidates) for each in ranked(self.asked)
        ]

    def ranked(self) -> Tensor:
        """How many users have a rank, int64 ``[rankings]``."""
        return torch.from_numpy((~np.isnan(per_user(self.ranks[:, 0], self.users))).sum(-1))


def best_choice(gains: Tensor) -> int:
    """The choice with the largest sum, float64 ``[choices]``, of `SELECTED_BY` over the users."""
    # rounded, so that the order of summation decides no tie
    return int(gains.round(decimals=9).argmax())


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
    for places in counted(everybody.own(users.clients), at_most(chunk, items)):
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
