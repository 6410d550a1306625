"""Metrics of a shard as sums over its users, for every blend of the model's parts asked for."""

from functools import partial

import torch
from torch import Tensor

from ufgraphfr.baselines.popularity import Popularity
from ufgraphfr.data.split import HeldOut
from ufgraphfr.deploy.agent.users import ShardUsers
from ufgraphfr.evaluation.metric_sums import Model, evaluate_blends
from ufgraphfr.evaluation.metrics.base import Metric
from ufgraphfr.evaluation.protocol import EvaluationSet


def metric_rows(
    model: Model, choices: Tensor, users: ShardUsers, chunk: int, metrics: tuple[Metric, ...]
) -> Tensor:
    """Each user's metrics of the test, which one release under a guarantee adds up.

    Args:
        model: its parts and their blends.
        choices: see `evaluate_blends`; there is one.
        users: of the shard.
        chunk: users at a time.
        metrics: those that are asked for.

    Returns:
        float64 ``[users, rankings * (metrics + 1)]``, the last of each ranking 1 for a user who is
        asked.
    """
    asked = EvaluationSet.of(users.batch, users.split, "test")
    each = evaluate_blends(model, choices, asked, chunk, metrics).by_user()
    there = ~each.isnan().any(-1, keepdim=True)
    return torch.cat((each.nan_to_num(0.0), there.double()), -1).flatten(1)


def popularity_sums(users: ShardUsers, chunk: int, metrics: tuple[Metric, ...]) -> Tensor:
    """Sums of the test's metrics of popularity among the shard's own users.

    Returns:
        float64 ``[rankings, metrics]``; see `metric_sums`.
    """
    popularity = Popularity()
    model = Model.of(partial(popularity.score, popularity.fit(users.batch)))
    asked = EvaluationSet.of(users.batch, users.split, "test")
    return evaluate_blends(model, torch.ones(1, 1), asked, chunk, metrics).sums()[0]


def metric_sums(
    model: Model,
    choices: Tensor,
    users: ShardUsers,
    part: HeldOut,
    chunk: int,
    metrics: tuple[Metric, ...] | None = None,
) -> dict[str, Tensor]:
    """Sums over the users that are asked.

    Args:
        model: its parts and their blends.
        choices: see `evaluate_blends`.
        users: of the shard.
        part: ``validation`` or ``test``.
        chunk: users at a time.
        metrics: those that are asked for; of lists only the covered items leave.

    Returns:
        ``sums`` float64 ``[choices, rankings, metrics]``, ``asked`` int64 ``[rankings]`` and, if
        there is one choice, ``covered`` uint8 ``[items]``: 1 for items in somebody's top ten.
    """
    asked = EvaluationSet.of(users.batch, users.split, part)
    found = evaluate_blends(model, choices, asked, chunk, metrics)
    sums = {"sums": found.sums(), "asked": found.ranked()}
    return sums | ({"covered": found.covered[0].byte()} if choices.shape[-2] == 1 else {})
