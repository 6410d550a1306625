"""What lies beneath UFGraphFormer's Transformer in training: the graph of everybody else.

For the whole catalogue, or for a sample of items and each next item; then mean and deviation of the
sampled items stand for those of the catalogue.
"""

from torch import Tensor, stack

from ufgraphfr.algorithms._item_graph import ItemGraph
from ufgraphfr.algorithms._sequence_training import Outside
from ufgraphfr.algorithms._sparse_graph import smooth_factors
from ufgraphfr.data.shards import Shard
from ufgraphfr.ops.blend import standardised
from ufgraphfr.ops.leave_own_out import before_each
from ufgraphfr.ops.sampled_own_out import sampled_near, sampled_ridge, sampled_smooth


def beneath(graph: ItemGraph, shared: dict[str, Tensor], sample: Tensor | None) -> Outside:
    """The graph's standardised scores before every item of a stretch, see `Outside`.

    Args:
        graph: its hyper-parameters.
        shared: its operators.
        sample: int64 ``[sample]``, or None for all items.
    """
    scores = _whole(graph, shared) if sample is None else _sampled(graph, shared, sample)
    among = None if sample is None else len(sample)

    def outside(stretch: Tensor, shard: Shard) -> Tensor:
        found = scores(stretch, shard)
        return standardised(found, among, out=found)

    return outside


def _whole(graph: ItemGraph, shared: dict[str, Tensor]) -> Outside:
    return lambda stretch, shard: graph.training_scores(shared, stretch, shard)


def _sampled(graph: ItemGraph, shared: dict[str, Tensor], sample: Tensor) -> Outside:
    if sparse := graph.sparse(len(shared["graph.counts"])):
        return lambda stretch, _: sparse.sampled_scores(shared, stretch, sample)
    # columns are picked once a round, so that training reads no others
    cut_near, cut_inverse = (shared[name][:, sample] for name in ("graph.near", "graph.inverse"))
    counts, (into, out) = shared["graph.counts"], smooth_factors(shared, graph.power)
    weights = graph.weights.to(sample.device) / graph.levels

    def scores(stretch: Tensor, shard: Shard) -> Tensor:
        near = shared["graph.near"], counts, graph.shrink, weights, graph.decay
        ridge = shared["graph.inverse"], shard.ptr, shard.items, graph.decay
        parts = (
            sampled_ridge(stretch, sample, cut_inverse, *ridge),
            sampled_near(stretch, sample, cut_near, *near),
            sampled_smooth(stretch, sample, into, out, graph.smooth_decay),
        )
        return before_each(stack(parts))

    return scores
