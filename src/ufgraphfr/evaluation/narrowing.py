"""Which blend is best: all are ranked for some users, and the clearly worse for no others.

Ranking under many blends is most of what a choice costs where a catalogue is large, and most blends
are far from the best one. Users are asked in groups, in an order drawn from a key. After each, a
blend whose users gain less than under the best one, by so many standard errors of the paired
difference, is left out. `best_choice` is of those that were ranked for everybody.
"""

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.evaluation.metric_sums import Model, evaluate_blends
from ufgraphfr.evaluation.metrics.base import Metric
from ufgraphfr.evaluation.protocol import EvaluationSet
from ufgraphfr.evaluation.results import BlendResults, RankingResult, best_choice

LOOKS = (1_000, 4_000)
"""After so many users, blends are left out."""
CLEARLY = 3.0
"""Standard errors by which a blend is clearly worse."""


def shuffled(clients: Tensor, key: Key) -> Tensor:
    """Places of clients, int64 ``[clients]``, in an order that the key draws."""
    return key.to(Purpose.FUSION).words(clients, 0, 4)[:, 0].argsort(stable=True)


def best_blend(
    model: Model,
    halves: Tensor,
    asked: EvaluationSet,
    key: Key,
    chunk: int = 256,
    metrics: tuple[Metric, ...] | None = None,
    favoured: Tensor | None = None,
) -> tuple[int, RankingResult]:
    """The blend that `SELECTED_BY` prefers, and its ranking of everybody.

    Args:
        model: its parts, and what blends of them are.
        halves: float ``[2, choices, blend]``, see `evaluate_blends`.
        asked: who is asked for what.
        key: seed of the order of users.
        chunk: clients at a time, at most.
        metrics: what the result holds, see `metric_sums.evaluate`.
        favoured: see `best_choice`.
    """
    order, left = shuffled(asked.clients.clients, key), torch.arange(halves.shape[1])
    gains, found = np.zeros((len(left), 0)), list[tuple[Tensor, BlendResults]]()
    bounds = [0, *(look for look in LOOKS if look < len(order)), len(order)]
    for begin, end in pairwise(bounds):
        if begin:
            close = ~_clearly_worse(gains)
            left, gains = left[torch.from_numpy(close)], gains[close]
        group = asked.select(order[begin:end].sort().values)
        found.append((left, evaluate_blends(model, halves[:, left], group, chunk, metrics)))
        gains = np.concatenate((gains, found[-1][1].gains()), axis=1)
    favoured = None if favoured is None else favoured[left]
    best = int(left[best_choice(torch.from_numpy(gains.sum(1)), favoured, gains.shape[1])])
    own = (results.of(int((choices == best).nonzero())) for choices, results in found)
    return best, RankingResult.joined(list(own))


def _clearly_worse(gains: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows are clearly worse than the best, bool ``[choices]``.

    Args:
        gains: float64 ``[choices, users]``.
    """
    behind = gains[best_choice(torch.from_numpy(gains.sum(1)))] - gains
    error = behind.std(1) / np.sqrt(behind.shape[1])
    worse: NDArray[np.bool_] = behind.mean(1) > CLEARLY * error
    return worse
