"""What the published family shares: pointwise training of touched item rows by plain SGD.

A client's loss on a batch is the mean binary cross-entropy over interactions and drawn negatives,
plus ``pull * mean((E - start)^2)`` over its whole item table.
"""

from abc import ABC
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import Tables
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.epochs import epoch_samples
from ufgraphfr.ops.local_sgd import Descend, Forward, Params, batches, train_epoch
from ufgraphfr.ops.touched import Touched, touched


def initial_table(setting: Setting, dim: int, std: float) -> Tensor:
    """The initial item table, float ``[items, dim]``, the same wherever it is drawn."""
    generator = Key(setting.seed, purpose=Purpose.INIT_ITEMS).generator()
    return torch.randn(setting.items, dim, generator=generator) * std


class Pointwise(Algorithm, ABC):
    """Hyper-parameters and local training of the family."""

    dim: int = Field(32, ge=1)
    """d, the length of an item vector."""
    lr: float = Field(0.1, gt=0)
    """Learning rate of the networks."""
    row_scale: float = Field(80.0, gt=0)
    """Item rows learn at ``lr * items * row_scale``: losses are means over a batch, and a row
    is rarely touched."""
    pull: float = Field(1.0, ge=0)
    """Weight (lambda) of the pull towards the table the server sent."""
    batch_size: int = Field(256, ge=1)
    """Samples, positives and negatives, of a local step."""
    local_epochs: int = Field(1, ge=1)
    """Passes over a client's interactions in a round."""
    negatives: int = Field(4, ge=1)
    """Fresh negatives for each interaction, each epoch."""
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of the initial item vectors."""

    def init_table(self, setting: Setting) -> Tensor:
        """See `initial_table`."""
        return initial_table(setting, self.dim, self.init_std)

    def init_user(self, setting: Setting, batch: ClientBatch) -> Tensor:
        """Initial user vectors, float ``[clients, dim]``: apart, or users would stay alike."""
        uniform = Key(setting.seed, purpose=Purpose.INIT).uniform(batch.clients, self.dim)
        users: Tensor = torch.special.ndtri(uniform) * self.init_std
        return users.float()

    @property
    def decay(self) -> float:
        """Share of a row's distance from where the pull leads that one batch removes.

        The pull's gradient is ``2 * pull / (items * dim)`` times that distance.
        """
        return min(1.0, 2 * self.pull * self.lr * self.row_scale / self.dim)

    def train(
        self,
        params: Params,
        tables: Tables,
        batch: ClientBatch,
        key: Key,
        forward: Callable[[Touched, int], Forward],
        descend: Descend,
        anchors: Tables | None = None,
    ) -> tuple[Rows, Tensor]:
        """Train stacked clients for the local epochs.

        Args:
            params: stacked weights, updated in place.
            tables: the item tables to start from.
            batch: the clients, most interactions first.
            key: seed and round.
            forward: the model's scores, given the touched rows and the epoch.
            descend: the update of the weights.
            anchors: where the pull leads, if not to where training starts; the rows that nobody
                touches move then too, and are the caller's to move.

        Returns:
            The change of each client's item rows, and float ``[clients]``, the mean loss of the
            last epoch.
        """
        epochs = [epoch_samples(batch, key, self.negatives, e) for e in range(self.local_epochs)]
        rows = touched(torch.cat([samples.item for samples in epochs], dim=1), batch.n_items)
        start = tables.gather(rows.ptr, rows.index)
        anchor = start if anchors is None else anchors.gather(rows.ptr, rows.index)
        table = start.clone()
        row_lr = self.lr * batch.n_items * self.row_scale
        loss = table.new_zeros(len(batch))
        for epoch, samples in enumerate(epochs):
            steps = batches(samples, rows, self.batch_size)
            loss = train_epoch(
                params,
                table,
                anchor,
                rows,
                steps,
                forward(rows, epoch),
                descend,
                row_lr,
                self.decay,
            )
        return Rows(rows.ptr, rows.index, table.sub_(start), batch.n_items), loss
