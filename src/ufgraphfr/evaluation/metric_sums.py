"""Metrics from one pass over the users: each is scored once and ranked under every blend.

A simulation and the agents of a deployment call the same pass. What leaves an agent is sums over
its users; a simulation keeps the ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.core.allocator import give_back_freed_memory
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.metrics import NAMES, SELECTED_BY, summary, values
from ufgraphfr.evaluation.protocol import EvaluationSet, Score, at_most
from ufgraphfr.ops.ranking import candidate_ranks, candidates_alone, sampled_ranks


def _weighted(_: ClientBatch, parts: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("kcp,pci->kci", weights, parts)


@dataclass(frozen=True)
class Model:
    """A model as it is evaluated: its parts' scores, and what blends of them score.

    Attributes:
        parts: from clients with their input to float ``[parts, clients, items]``.
        blended: from clients, these scores and weights ``[choices, clients, blend]`` to float
            ``[choices, clients, items]``; by default the weighted sum.
    """

    parts: Callable[[ClientBatch], Tensor]
    blended: Callable[[ClientBatch, Tensor, Tensor], Tensor] = _weighted

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
COVERAGE = 10

_AT_ONCE = 4
"""Blends formed by one product: faster than one by one."""
_LARGE = 2**24
"""Bytes of scores from which on freed memory is handed back before each product: kept, its holes
fit no later block, and the process grows."""


@dataclass(frozen=True)
class RankingResult:
    """What came out for each user that was asked.

    Attributes:
        users: int64 ``[asked]``, the data set's numbers, ascending.
        full: float64 ``[asked]``, the target's rank in the full ranking.
        sampled: float64 ``[asked]``, its rank among itself and 99 sampled items; NaN for a user
            who never touched fewer than 99.
        coverage: share of the items that are in somebody's top ten of the full ranking.
    """

    users: NDArray[np.int64]
    full: NDArray[np.float64]
    sampled: NDArray[np.float64]
    coverage: float

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Means by ranking and metric, e.g. ``metrics["full"]["ndcg@10"]``.

        ``sampled99`` is empty if no user can be asked.
        """
        return {
            "full": {**summary(self.full), f"coverage@{COVERAGE}": self.coverage},
            "sampled99": summary(self.sampled),
        }


@dataclass(frozen=True)
class BlendResults:
    """What came out under each blend.

    Attributes:
        users: int64 ``[asked]``, the clients' numbers.
        ranks: float64 ``[rankings, choices, asked]``, of the target.
        covered: bool ``[choices, items]``, whether an item is in somebody's top ten.
    """

    users: NDArray[np.int64]
    ranks: NDArray[np.float64]
    covered: Tensor

    def best(self) -> int:
        """The choice that `SELECTED_BY` prefers."""
        return best_choice(torch.from_numpy(values(SELECTED_BY, self.ranks[0]).sum(1)))

    def of(self, choice: int) -> RankingResult:
        """The result under one choice."""
        coverage = int(self.covered[choice].sum()) / self.covered.shape[1]
        full, sampled = self.ranks[:, choice]
        return RankingResult(self.users, full, sampled, coverage)

    def sums(self) -> Tensor:
        """Sums of the metrics over the users, float64 ``[choices, rankings, metrics]``."""
        each = np.stack([np.nansum(values(name, self.ranks), -1) for name in NAMES], axis=-1)
        return torch.from_numpy(each).transpose(0, 1).contiguous()

    def ranked(self) -> Tensor:
        """How many users have a rank, int64 ``[rankings]``."""
        return torch.from_numpy((~np.isnan(self.ranks[:, 0])).sum(-1))


def best_choice(gains: Tensor) -> int:
    """The choice with the largest sum, float64 ``[choices]``, of `SELECTED_BY` over the users."""
    # rounded, so that the order of summation decides no tie
    return int(gains.round(decimals=9).argmax())


def evaluate_blends(
    model: Model, choices: Tensor, asked: EvaluationSet, chunk: int = 256
) -> BlendResults:
    """Rank every user's target under every blend; scores are not kept.

    Args:
        model: its parts, and what blends of them are.
        choices: float ``[choices, blend]``, weights; or ``[2, choices, blend]``, for users of
            either `half`.
        asked: who is asked for what.
        chunk: clients at a time, at most: fewer where items are many.

    Raises:
        ValueError: scores of another shape.
    """
    users, items = asked.clients, asked.clients.n_items
    halves = choices if choices.dim() == 3 else choices.expand(2, *choices.shape)
    count = halves.shape[1]
    width = items * max(min(_AT_ONCE, count), halves.shape[2])
    chunk = at_most(chunk, width)
    is_large = 4 * width * chunk >= _LARGE
    ranks = torch.empty(2, count, len(users), dtype=torch.float64)
    covered = torch.zeros(count, items, dtype=torch.bool)
    for places in torch.arange(len(users)).split(chunk):
        clients = users.select(places)
        scored = model.parts(clients).detach()
        if scored.shape[1:] != (len(clients), items):
            raise ValueError(
                f"scores of shape {tuple(scored.shape[1:])} for {len(clients)} clients and {items} "
                f"items"
            )
        clients, weights = clients.to(scored.device), halves[half(clients.clients).cpu()]
        weights = weights.transpose(0, 1).to(scored)
        target, rivals = (each[places].to(scored.device) for each in (asked.targets, asked.rivals))
        for group in torch.arange(count).split(_AT_ONCE):
            if is_large:
                give_back_freed_memory()
            scores = model.blended(clients, scored, weights[group])
            # no item of a history is a candidate, whatever the blend
            scores, candidates = candidates_alone(scores, target, clients.ptr, clients.items)
            ranks[0, group[:, None], places] = candidate_ranks(scores, candidates, target).cpu()
            ranks[1, group[:, None], places] = sampled_ranks(scores, target, rivals).cpu()
            covered[group] |= _listed(scores).cpu()
    return BlendResults(users.clients.numpy(), ranks.numpy(), covered)


def _listed(scores: Tensor) -> Tensor:
    """Whether an item is in some client's top list, bool ``[choices, items]``.

    NaN is no candidate; the scores are changed.
    """
    torch.nan_to_num(scores, nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf, out=scores)
    best, items = scores.topk(min(COVERAGE, scores.shape[-1]), sorted=False)
    listed = torch.zeros_like(scores[:, 0], dtype=torch.bool)
    choice = torch.arange(len(scores), device=scores.device)[:, None, None].expand_as(items)
    shown = best > -torch.inf
    listed[choice[shown], items[shown]] = True
    return listed


def evaluate(score: Score, asked: EvaluationSet, chunk: int = 256) -> RankingResult:
    """Rank every user's target by a model of one part; see `evaluate_blends`."""
    return evaluate_blends(Model.of(score), torch.ones(1, 1), asked, chunk).of(0)
