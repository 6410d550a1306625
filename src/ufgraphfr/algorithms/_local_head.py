"""Part D of UFGraphFormer: each device's own taste in public item features; it uploads nothing."""

from pydantic import Field
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.local_head import fit_heads
from ufgraphfr.ops.recency import recency


class LocalHead(Spec):
    """Hyper-parameters of the local head."""

    ridge: float = Field(1.0, gt=0)
    """Pulls a user's weights to those all users share."""
    decay: float = Field(0.9, gt=0, le=1)
    """Weight of a history item relative to the next one."""
    steps: int = Field(4, ge=1)
    """Of Newton's method."""

    def scores(self, features: Tensor, counts: Tensor, inputs: ClientBatch) -> Tensor:
        """Log popularity plus the user's taste, float ``[clients, items]``.

        Args:
            features: float ``[items, columns]``, public.
            counts: float ``[items]``, how many clients have each item, a sum.
            inputs: the clients' histories.
        """
        offset = (counts + 1).log()
        history = offset.new_zeros(len(inputs), len(offset))
        owner = owners(inputs.ptr, len(inputs.items))
        history[owner, inputs.items] = recency(inputs.ptr, self.decay).to(offset.dtype)
        weights = fit_heads(features, offset, history, self.ridge, self.steps)
        return offset + weights @ features.T
