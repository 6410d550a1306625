"""Cold users: of whom little is known is served from what others have, and from the own profile.

Two questions have two answers. What a user will like, of all items, is what many have: the graph's
counts, which serve users without any item. What it will take next is what others began with, often
a list that everybody is shown: for these every client tells, with the item graph's first part, at
which of its first positions it has which item, and after k items a user is served from the counts
of the next positions. Only sums over clients are needed. Where the order of items means nothing,
the first stands for the second.
The scores of a cold user are the mean of the logarithm of these counts and of the model's other
parts, the first with the weight of ``prior`` items and the second with that of k: what is known of
the user outgrows what is known of everybody, as in a posterior mean. Beyond ``latest`` items the
other parts speak alone. What the profile part has to say of the user (`graph.profile`) is a
difference of such logarithms.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS, narrow
from ufgraphfr.algorithms.ufgraphformer.graph.profile import MAP, lift
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.core.arrays.memo import memo
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State, Summed, Task
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.blend import standardise, standardised
from ufgraphfr.ops.first_items import first_item_counts, window_sums

SUM = "first_items"
SMOOTHING = 0.5
"""Added to counts, so that nobody's item has a logarithm."""


class ColdUsersSpec(Spec):
    """Hyper-parameters; the ``[algorithm.cold_users]`` table."""

    basis: Literal["popular", "began"] = "popular"
    """What of others serves a user without any item: all that they have, or what they ``began``
    with, where order means something. The first suits all later items best, the second the next
    ones."""
    latest: int = Field(10, ge=0)
    """The longest history of a cold user."""
    width: int = Field(10, ge=1)
    """How many positions from the next one on count, of what others began with."""
    prior: float = Field(4.0, gt=0)
    """How many of the own items weigh as much as what others have; validation may do without,
    but for users of whom nothing is known."""

    @property
    def positions(self) -> int:
        """How many of its first positions a client tells."""
        return self.latest + self.width


@dataclass(frozen=True)
class ColdUsers(Part):
    """What cold users are served from; it is told in the graph's first round."""

    spec: ColdUsersSpec

    @property
    def integer_bounds(self) -> dict[str, int]:
        """See `Part.integer_bounds`."""
        return {SUM: 1}

    def state(self, setting: Setting) -> State:
        """See `Part.state`."""
        windows = self.spec.latest + 1 if setting.sequential else 0
        return {SUM: torch.zeros(windows, setting.items)}

    def contribution(self, task: Task, batch: ClientBatch, key: Key) -> Update | None:
        """See `Part.contribution`: whole numbers ``[positions * items]``, summed over clients."""
        if task.round != 1 or not bool(task.shared["ordered"]):
            return None
        counts = first_item_counts(batch.ptr, batch.items, batch.n_items, self.spec.positions)
        no_loss = torch.zeros(len(batch), device=batch.items.device)
        return Update({SUM: narrow(counts.flatten(), len(batch))}, no_loss, summed=True)

    def collect(self, state: State, sums: Summed, round_number: int) -> State:
        """See `Part.collect`: for each length of a history the counts of the next positions."""
        if SUM not in sums:
            return state
        counts = sums[SUM].view(self.spec.positions, -1)
        return state | {SUM: window_sums(counts, self.spec.width)}

    def shared(self, state: State) -> State:
        """See `Part.shared`."""
        return {SUM: state[SUM]}

    def mixed(self, fused: Tensor, shared: State, inputs: ClientBatch, prior: Tensor) -> Tensor:
        """Fused scores, the less of them the less is known of a user.

        Args:
            fused: float ``[choices, clients, items]``; it is changed.
            shared: what this part shares.
            inputs: the clients.
            prior: float ``[choices, clients or 1]``, see `ColdUsersSpec.prior`; 0 asks the first
                items only where nothing is known.

        Returns:
            float ``[choices, clients, items]``.
        """
        cold = (inputs.counts <= self.spec.latest).nonzero()[:, 0]
        if len(cold) == 0:
            return fused
        some = inputs.select(cold)
        known, weight = some.counts, prior.expand(-1, len(inputs))[:, cold]
        others = self._log_counts(shared, known)
        if MAP in shared:
            others = others + lift(shared, some)
        share = _own_share(known, weight)
        everybody = len(cold) == len(inputs)
        own = fused if everybody else fused.index_select(1, cold)
        standardise(own, own)
        own.mul_(share).addcmul_(1 - share, standardised(others).to(own))
        return fused if everybody else fused.index_copy_(1, cold, own)

    def added(self, parts: Tensor, inputs: ClientBatch, prior: Tensor) -> Tensor:
        """What each part adds to the scores of `mixed`; the rest of these is what others have.

        Args:
            parts: float ``[parts, clients, items]``, of which the fused scores are the sum.
            inputs: the clients.
            prior: one number, see `mixed`.

        Returns:
            float of the same shape.
        """
        cold = inputs.counts <= self.spec.latest
        centred = parts - parts.mean(-1, keepdim=True)
        spread = centred.sum(0).std(-1, keepdim=True)
        share = _own_share(inputs.counts, prior)
        mixed = share * centred / spread.clamp(min=torch.finfo(parts.dtype).tiny)
        return torch.where(cold[:, None], mixed, parts)

    def _log_counts(self, shared: State, known: Tensor) -> Tensor:
        """Of the clients who have an item at the next positions, or at all, [clients, items]."""
        sums, counts = shared[SUM], shared[COUNTS]
        if not len(sums):
            return (counts + SMOOTHING).log().expand(len(known), -1)
        return _log_table(sums, counts, self.spec.basis == "popular").index_select(0, known)

    def is_feasible(self, arrays: State, setting: Setting, round_number: int) -> bool:
        """See `Part.is_feasible`: one item a position, from the first on."""
        if SUM not in arrays:
            return True
        each = arrays[SUM].view(self.spec.positions, -1).long()
        taken = each.sum(1)
        return bool((each <= 1).all() and (taken <= 1).all() and (taken.diff() <= 0).all())

    def item_views(self, arrays: State, setting: Setting, round_number: int) -> State:
        """See `Part.item_views`."""
        if SUM not in arrays:
            return arrays
        by_position = arrays[SUM].unflatten(1, (-1, setting.items))
        return arrays | {SUM: by_position.transpose(1, 2)}


@memo
def _log_table(sums: Tensor, counts: Tensor, popular: bool) -> Tensor:
    """For each length of a history; ``popular`` is for those without any."""
    table = (sums + SMOOTHING).log()
    if popular:
        table[0] = (counts.to(table) + SMOOTHING).log()
    return table


def _own_share(known: Tensor, weight: Tensor) -> Tensor:
    """What the user's own items weigh beside what others have, float ``[..., clients, 1]``."""
    return torch.where(known == 0, 0.0, known / (known + weight).clamp(min=1))[..., None]
