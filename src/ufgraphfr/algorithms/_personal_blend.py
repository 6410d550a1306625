"""Personal weights of UFGraphFormer's parts, fitted on the device to its own last training items.

Before each of these items the parts say what they would have said then: the graph without the
device's own contribution, the Transformer and the head after the items before. The weights are
fitted where they are used and never leave the device.
"""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.own_weights import fit_weights

GROUP = 32
"""Clients fitted at once; bounds memory."""

Before = Callable[[ClientBatch, Tensor], Tensor]
"""From clients with their training items, and places in these, int64 ``[clients, places]``, to
each part's scores before them, float ``[parts, clients, places, items]``."""


class PersonalBlend(Spec):
    """Hyper-parameters of the personal weights."""

    last: int = Field(10, ge=1)
    """Items that they are fitted to."""
    ridge: float = Field(10.0, gt=0)
    """Pulls them to the shared ones."""
    sharpness: float = Field(0.5, gt=0)
    """What the shared weights are multiplied with, so that their softmax gives chances; no
    ranking depends on it."""
    steps: int = Field(3, ge=1)
    """Of Newton's method."""

    def weights(self, before: Before, shared: Tensor, inputs: ClientBatch) -> Tensor:
        """Each client's weights, float ``[clients, parts]``.

        Args:
            before: the parts' scores.
            shared: float ``[parts]``, the weights of all.
            inputs: the clients and their histories, of which what they trained on counts.
        """
        own = trained(inputs)
        groups = torch.arange(len(own), device=own.items.device).split(GROUP)
        return torch.cat([self._group(before, shared, own.select(group)) for group in groups])

    def _group(self, before: Before, shared: Tensor, own: ClientBatch) -> Tensor:
        back = torch.arange(self.last, 0, -1, device=own.items.device)
        # nothing goes before the first item
        place = own.counts[:, None] - back
        real = place >= 1
        if not bool(real.any()):
            return (shared * self.sharpness).expand(len(own), -1)
        place = place.clamp(min=0)
        items = own.items[(own.ptr[:-1, None] + place).clamp(max=len(own.items) - 1)]
        barred = torch.zeros(len(own), own.catalogue, dtype=torch.bool, device=items.device)
        barred[owners(own.ptr, len(own.items)), own.items] = True
        wanted = torch.where(real, items, -1)
        scores = before(own, place)
        return fit_weights(scores, wanted, barred, shared * self.sharpness, self.ridge, self.steps)


def trained(inputs: ClientBatch) -> ClientBatch:
    """The clients with those of their items that they trained on: the graph holds these alone."""
    owner = owners(inputs.ptr, len(inputs.items))
    barred = owners(inputs.barred_ptr, len(inputs.barred)) * inputs.catalogue + inputs.barred
    kept = torch.isin(owner * inputs.catalogue + inputs.items, barred)
    ptr = torch.zeros_like(inputs.ptr)
    torch.cumsum(torch.bincount(owner[kept], minlength=len(inputs)), 0, out=ptr[1:])
    return inputs.with_history(ptr, inputs.items[kept])
