"""Metrics of a shard as sums over its users, for every blend of the model's parts asked for."""

from collections.abc import Callable

import torch
from torch import Tensor

from ufgraphfr.data.split import HeldOut
from ufgraphfr.deploy.agent.users import ShardUsers
from ufgraphfr.evaluation.metric_sums import Model, evaluate_blends
from ufgraphfr.evaluation.metrics.base import Metric
from ufgraphfr.evaluation.protocol import EvaluationSet


def noised_metric_sums(
    model: Model,
    choices: Tensor,
    users: ShardUsers,
    chunk: int,
    metrics: tuple[Metric, ...],
    admitted: Tensor,
    release: Callable[[Tensor, Tensor], Tensor],
) -> dict[str, Tensor]:
    """The test's sums as one release under a guarantee.

    Args:
        model: its parts and their blends.
        choices: see `evaluate_blends`; there is one.
        users: of the shard.
        chunk: users at a time.
        metrics: those that are asked for.
        admitted: bool ``[users]``, whose data may go into it.
        release: from float ``[clients, numbers]`` and client ids to the noised sum ``[numbers]``.

    Returns:
        ``noised`` float32 ``[rankings, metrics + 1]``, the last of each how many users were asked.
    """
    asked = EvaluationSet.of(users.batch, users.split, "test")
    each = evaluate_blends(model, choices, asked, chunk, metrics).by_user()[admitted]
    there = ~each.isnan().any(-1, keepdim=True)
    rows = torch.cat((each.nan_to_num(0.0), there.double()), -1)
    return {"noised": release(rows.flatten(1), users.clients[admitted]).view(rows.shape[1:])}


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
