"""The feature head as nodes: the softmax regression of `on_device.softmax_regression`, unrolled."""

import numpy as np
import torch

from ufgraphfr.algorithms.ufgraphformer.on_device.softmax_regression import (
    FIRST_STEP,
    ROUNDING,
    STEPS,
    uncorrelated,
)
from ufgraphfr.export.onnx.graph import Array, Graph, Value


def preference(
    graph: Graph, features: Array, offset: Array, history: Value, weights: Value, ridge: float
) -> Value:
    """What a user likes of public features, float ``[1, items]``.

    Args:
        graph: which grows.
        features: float ``[items, columns]``.
        offset: float ``[items]``, log popularity.
        history: int64 ``[length]``.
        weights: float ``[1, length]``, of the history's items.
        ridge: pulls a preference to none.
    """
    columns, base = graph.array(features), graph.array(offset)
    wide = columns.turned(1, 0)
    wanted, weight = weights @ columns.rows(history), weights.sum(1, keep=True)
    variance, turn = (
        graph.array(each.numpy())
        for each in uncorrelated(torch.from_numpy(features), torch.from_numpy(offset))
    )
    back = turn.turned(1, 0)
    tried = best = move = graph.array(np.zeros((1, features.shape[1]), np.float32))
    step, reached = graph.scalar(FIRST_STEP), graph.scalar(float(np.finfo(np.float32).min))
    for _ in range(STEPS):
        logits = base + tried @ wide
        norm = logits.log_sum_exp()
        value = (wanted * tried).sum(1, keep=True) - weight * norm
        value = value - (tried * tried).sum(1, keep=True) * (ridge / 2)
        worse = value < reached - weight * norm.call("Abs") * ROUNDING
        step = graph.where(worse, step * 0.5, step)
        gradient = wanted - weight * ((logits - norm).call("Exp") @ columns) - tried * ridge
        newton = ((gradient @ turn) / (weight * variance + ridge)) @ back
        move = graph.where(worse, move, newton)
        best, reached = graph.where(worse, best, tried), value.at_least(reached)
        tried = best + step * move
    return best @ wide
