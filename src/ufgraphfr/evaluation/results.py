"""What came out of a ranking: ranks of every user's targets, and metrics of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.evaluation.metrics import (
    COVERAGE,
    SELECTED_BY,
    per_user,
    ranked,
    standard_errors,
    summary,
    user_values,
    values,
)
from ufgraphfr.evaluation.metrics.base import ListMetric, Metric, TopLists

CHANCE = 0.1
"""What a user gains by one blend over another of `SELECTED_BY` is spread by about so much, .05 to
.15 on parts of MovieLens-100K: a sum over n users tells them apart from so much times root n on."""

RANKINGS = ("full", "sampled99")
"""Among all items not interacted with, and among the target and 99 sampled ones, for those users
who never touched so many."""


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

    @classmethod
    def joined(cls, groups: list["RankingResult"]) -> "RankingResult":
        """Of the users of several groups, of which one or more are given, by the same metrics."""
        users, full, sampled, candidates = (
            np.concatenate([getattr(group, name) for group in groups], axis=-1)
            for name in ("users", "full", "sampled", "candidates")
        )
        by_user = users.argsort(kind="stable")
        lists = {
            at: sum((group.lists[at] for group in groups[1:]), start=first)
            for at, first in groups[0].lists.items()
        }
        return cls(
            users[by_user],
            full[by_user],
            sampled[by_user],
            candidates[:, by_user],
            lists,
            groups[0].asked,
        )

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

    def gains(self) -> NDArray[np.float64]:
        """`SELECTED_BY` of each user, float64 ``[choices, users]``."""
        return per_user(values(SELECTED_BY, self.ranks[0]), self.users)

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


def best_choice(gains: Tensor, favoured: Tensor | None = None, asked: int = 0) -> int:
    """The choice with the largest gain; a favoured one unless another gains more than by chance.

    Args:
        gains: sums of `SELECTED_BY` over the users, float64 ``[choices]``.
        favoured: bool ``[choices]``; None favours none.
        asked: how many gains each sum has.
    """
    # rounded, so that the order of summation decides no tie
    gains = gains.round(decimals=9)
    best = int(gains.argmax())
    if favoured is None or not bool(favoured.any()):
        return best
    own = int(gains.where(favoured, -torch.inf).argmax())
    return best if gains[best] - gains[own] > CHANCE * asked**0.5 else own
