"""What lies beneath UFGraphFormer's Transformer in training: the graph of everybody else.

For the whole catalogue, or for a sample of items and each next item; then their mean and deviation
stand for those of the catalogue.
"""

from functools import partial

import torch
from torch import Tensor

from ufgraphfr.algorithms._graph_spec import Operator
from ufgraphfr.algorithms._item_graph import ItemGraph
from ufgraphfr.algorithms._sequence_training import Outside
from ufgraphfr.algorithms._sparse_graph import smooth_factors
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.blend import standardised, standardised_by_sample
from ufgraphfr.ops.leave_own_out import before_each
from ufgraphfr.ops.sampled_own_out import sampled_near, sampled_ridge, sampled_smooth


def beneath(
    graph: ItemGraph,
    shared: dict[str, Tensor],
    operators: tuple[Operator, ...],
    sample: Tensor | None,
) -> Outside:
    """The graph's standardised scores before every item of a stretch, see `Outside`.

    Args:
        graph: its hyper-parameters.
        shared: its operators.
        operators: which lie beneath.
        sample: int64 ``[sample]``, or None for all items.
    """
    items = len(shared["graph.counts"])
    if sample is None:
        scores: Outside = partial(graph.training_scores, shared, operators=operators)
    else:
        scores = _sampled(graph, shared, operators, sample)

    def outside(stretch: Tensor, shard: ClientBatch) -> Tensor:
        found = scores(stretch, shard)
        if sample is None:
            return standardised(found, out=found)
        apart = ~torch.isin(stretch, sample)
        return standardised_by_sample(found, apart, items, out=found)

    return outside


def _sampled(
    graph: ItemGraph,
    shared: dict[str, Tensor],
    operators: tuple[Operator, ...],
    sample: Tensor,
) -> Outside:
    if sparse := graph.sparse(len(shared["graph.counts"])):
        return lambda stretch, _: sparse.sampled_scores(shared, stretch, sample, operators)
    # columns are picked once a round, so that training reads no others
    cut = {
        name: shared[f"graph.{matrix}"][:, sample]
        for name, matrix in (("ridge", "inverse"), ("near", "near"))
        if name in operators
    }
    into, out = smooth_factors(shared, graph.power)
    weights = graph.weights.to(sample.device) / graph.levels

    def scores(name: Operator, stretch: Tensor, shard: ClientBatch) -> Tensor:
        if name == "ridge":
            ridge = shared["graph.inverse"], shard.ptr, shard.items, graph.decay
            return sampled_ridge(stretch, sample, cut[name], *ridge)
        if name == "near":
            near = shared["graph.near"], shared["graph.counts"], graph.shrink, weights, graph.decay
            return sampled_near(stretch, sample, cut[name], *near)
        return sampled_smooth(stretch, sample, into, out, graph.smooth_decay)

    return lambda stretch, shard: before_each(
        torch.stack([scores(name, stretch, shard) for name in operators])
    )
