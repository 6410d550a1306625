"""What UFGraphFormer says of users of whom little is known: what others began with.

With the item graph's first part every client tells at which of its first places it has which item;
only the sums over clients are needed, and a place more or less is one number more or less. After
k items a newcomer is likely to want what others had at the next places. Its scores are the mean of
the logarithm of these counts and of the model's own parts, the first with the weight of ``prior``
items and the second with that of k: what is known of the user outgrows what is known of everybody,
as in a posterior mean. Beyond ``latest`` items the parts speak alone.
"""

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms._sparse_graph import narrow
from ufgraphfr.core.messages import State
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.beginnings import beginnings, windows
from ufgraphfr.ops.blend import standardised

SUM = "beginnings"
BESIDE = 0.5
"""Added to counts, so that nobody's item has a logarithm."""


class Newcomers(Spec):
    """Hyper-parameters; the ``[algorithm.newcomers]`` table."""

    latest: int = Field(10, ge=0)
    """The longest history that is a newcomer's."""
    width: int = Field(10, ge=1)
    """How many places from the next one on count."""
    prior: float = Field(4.0, gt=0)
    """How many of the own items weigh as much as what others began with."""

    @property
    def places(self) -> int:
        """How many of its first places a client tells."""
        return self.latest + self.width

    def contribution(self, batch: ClientBatch) -> Tensor:
        """What these clients add, whole numbers ``[places * items]``, summed over them."""
        own = batch.ptr, batch.items, batch.n_items
        return narrow(beginnings(*own, self.places).flatten(), len(batch))

    def is_feasible(self, contribution: Tensor) -> bool:
        """Whether one client could have sent this: one item a place, from the first on."""
        each = contribution.view(self.places, -1).long()
        held = each.sum(1)
        return bool((each <= 1).all() and (held <= 1).all() and (held.diff() <= 0).all())

    def empty(self, items: int) -> State:
        """The server's memory before anybody has contributed."""
        return {SUM: torch.zeros(self.latest + 1, items)}

    def collected(self, total: Tensor, items: int) -> State:
        """The server's memory: for each length of a history the counts of the next places."""
        return {SUM: windows(total.view(self.places, items), self.width)}

    def among(self, parts: Tensor, shared: State, inputs: ClientBatch) -> Tensor:
        """The parts of a model with this as a last one, whose weight is to be 1.

        Args:
            parts: float ``[parts, clients, items]``.
            shared: the server's memory.
            inputs: the clients and their histories.

        Returns:
            float ``[parts + 1, clients, items]``.
        """
        known = inputs.counts.clamp(max=self.latest + 1)
        others = standardised((shared[SUM] + BESIDE).log())
        # beyond the latest place they have nothing to say
        others = torch.cat((others, others.new_zeros(1, inputs.n_items)))
        share = known / (known + self.prior)
        share = torch.where(known > self.latest, 1.0, share)[:, None].to(parts)
        return torch.cat((parts * share, ((1 - share) * others[known])[None]))
