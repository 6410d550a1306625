"""Metrics of a shard as sums over its users, for every blend of the model's parts asked for."""

from torch import Tensor

from ufgraphfr.data.split import HeldOut
from ufgraphfr.deploy.agent.users import ShardUsers
from ufgraphfr.evaluation.metric_sums import Model, evaluate_blends
from ufgraphfr.evaluation.metrics.base import Metric
from ufgraphfr.evaluation.protocol import EvaluationSet


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
