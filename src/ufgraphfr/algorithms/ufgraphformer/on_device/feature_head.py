"""The feature head: each device's own preference for public item features; it uploads nothing."""

from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS
from ufgraphfr.algorithms.ufgraphformer.on_device.softmax_regression import fit
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.messages import State
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.recency import recency

RIDGE = 1.0
"""Pulls a user's weights to those all users share; the value of every recorded run."""
DECAY = 0.9
"""Weight of a history item relative to the next one; the value of every recorded run."""


class FeatureHead(Part):
    """Log popularity plus the user's preference; it needs the graph's item counts."""

    def names(self, setting: Setting) -> tuple[str, ...]:
        """See `Part.names`."""
        return ("features",)

    def scores(self, shared: State, inputs: ClientBatch) -> tuple[Tensor]:
        """See `Part.scores`."""
        features, offset = shared["features"], (shared[COUNTS] + 1).log()
        if not features.shape[1]:
            return (offset.expand(len(inputs), -1),)
        history = offset.new_zeros(len(inputs), len(offset))
        owner = owners(inputs.ptr, len(inputs.items))
        history[owner, inputs.items] = recency(inputs.ptr, DECAY).to(offset.dtype)
        wanted, total = history @ features, history.sum(1)
        weights = fit(features, offset, wanted, total, RIDGE)
        return (offset + weights @ features.T,)
