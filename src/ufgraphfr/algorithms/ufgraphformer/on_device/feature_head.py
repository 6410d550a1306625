"""The feature head: each device's own preference for public item features; it uploads nothing."""

from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS
from ufgraphfr.algorithms.ufgraphformer.on_device.softmax_regression import SoftmaxRegression
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.core.arrays.memo import memo
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.fusion import Scorer
from ufgraphfr.ops.recency import propagate

RIDGE = 1.0
"""Pulls a user's weights to those all users share; the value of every recorded run."""
DECAY = 0.9
"""Weight of a history item relative to the next one; the value of every recorded run."""


class FeatureHead(Part):
    """Log popularity plus the user's preference; it needs the graph's item counts."""

    def names(self, setting: Setting) -> tuple[str, ...]:
        """See `Part.names`."""
        return ("features",)

    def scores(self, shared: State, inputs: ClientBatch) -> tuple[Scorer]:
        """See `Part.scores`."""
        features, counts = shared["features"], shared[COUNTS]
        offset = _log_popularity(counts)
        if not features.shape[1]:
            return (lambda: offset.expand(len(inputs), -1),)
        return (lambda: offset + preference(features, _regression(features, counts), inputs),)


def preference(features: Tensor, regression: SoftmaxRegression, inputs: ClientBatch) -> Tensor:
    """What each user likes of public features, by a history in which recent items count more.

    Args:
        features: float ``[items, columns]``.
        regression: prepared for them.
        inputs: the clients.

    Returns:
        float ``[clients, items]``, beside the offset; zeros for a client without history.
    """
    weights = inputs.recency(DECAY)
    wanted = propagate(inputs.ptr, inputs.items, weights, features)
    owner = owners(inputs.ptr, len(inputs.items))
    total = weights.new_zeros(len(inputs)).index_add_(0, owner, weights).to(features.dtype)
    return regression.preference(regression.fit(wanted, total, RIDGE))


def _log_popularity(counts: Tensor) -> Tensor:
    return (counts + 1).log()


@memo
def _regression(features: Tensor, counts: Tensor) -> SoftmaxRegression:
    return SoftmaxRegression.of(features, _log_popularity(counts))
