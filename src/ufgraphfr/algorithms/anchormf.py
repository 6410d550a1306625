"""Matrix factorisation over prototypes of user profiles: a user graph that can be private.

Each of K anchors, which everybody can work out from what is public, has an item table E_k. A device
works out how near its profile is to each anchor, p_u = softmax(tau cos(x_u - m, a_k - m)), starts
from its mixture sum_k p_uk E_k, trains as in `fedmf`, and uploads p_uk times its change for each k.
With n clients the server takes S_k K / n as prototype k's change, S_k the sum of what was uploaded,
so a client receives (K / n) sum_v <p_u, p_v> change_v: the user graph is K <p_u, p_v>, and neither
the graph nor a mixture is ever seen. As |p_u| <= 1, the K blocks of an upload are together no
longer than the change itself, so one clip covers them, at no extra noise. One prototype is `fedmf`.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms._changes import mean_change
from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import MixedTables
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch

SWEEPS = 20
"""Of k-means."""


class AnchorMF(FedMF):
    """Hyper-parameters, beside those of `FedMF`."""

    prototypes: int = Field(4, ge=1)
    """K."""
    sharpness: float = Field(5.0, ge=0)
    """tau; at 0 everybody is the same mixture, and all prototypes stay alike."""

    @property
    def asks_for_profiles(self) -> bool:
        """See `Algorithm.asks_for_profiles`."""
        return self.prototypes > 1

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`: the same first table for each prototype."""
        generator = Key(setting.seed, purpose=Purpose.INIT, part=6).generator()
        profiles = setting.profiles
        if profiles is None or len(profiles) < self.prototypes:
            # what cannot be enumerated is parted in directions of no meaning
            profiles = torch.randn(self.prototypes, setting.text_width, generator=generator)
        anchors = kmeans(profiles, self.prototypes, generator)
        tables = self.init_table(setting).repeat(self.prototypes, 1, 1)
        return {"items": tables, "anchors": anchors, "centre": profiles.mean(0)}

    def mixture(self, shared: dict[str, Tensor], text: Tensor) -> Tensor:
        """p_u, float ``[clients, prototypes]``, worked out on the device."""
        anchors = F.normalize(shared["anchors"] - shared["centre"], dim=1)
        cosines = F.normalize(text - shared["centre"], dim=1) @ anchors.T
        return torch.softmax(self.sharpness * cosines, 1)

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`: the same for all clients."""
        return Task(round_number, clients, dict(state), {})

    def local(
        self, task: Task, shard: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        mixture = self.mixture(task.shared, shard.text)
        update, private = super().local(_mixed(task, mixture), shard, private, key)
        change = update.arrays["items"]
        assert isinstance(change, Rows)
        return replace(update, arrays={"items": stacked(change, mixture)}), private

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        change = self.prototypes * mean_change(report).view_as(state["items"])
        return state | {"items": state["items"] + self.server_lr * change}

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        mixture = self.mixture(task.shared, inputs.text)
        return super().score(_mixed(task, mixture), inputs, private)

    def item_views(
        self, arrays: dict[str, Tensor], setting: Setting, round_number: int
    ) -> dict[str, Tensor]:
        """See `Algorithm.item_views`: an item's row lies in each prototype's block."""
        blocks = self.prototypes, setting.items

        def by_item(value: Tensor) -> Tensor:
            # an upload has the blocks one after the other, the broadcast has an axis for them
            if value.shape[1:2] == (blocks[0] * blocks[1],):
                value = value.unflatten(1, blocks)
            return value.movedim(1, 2) if value.shape[1:3] == blocks else value

        return {name: by_item(value) for name, value in arrays.items()}


def stacked(change: Rows, mixture: Tensor) -> Rows:
    """Each client's change in K blocks, the k-th times p_uk.

    Args:
        change: of one table, ``[clients, items, dim]``.
        mixture: float ``[clients, prototypes]``.

    Returns:
        of ``[clients, prototypes * items, dim]``, no longer than ``change`` where rows of
        ``mixture`` have length at most one.
    """
    count = mixture.shape[1]
    weights = mixture[change.owner]
    # a client's rows stay together: block after block for each of them
    order = torch.argsort(change.owner.repeat(count), stable=True)
    block = torch.arange(count, device=order.device).repeat_interleave(len(change.index))
    index = change.index.repeat(count) + block * change.height
    values = (weights.T[..., None] * change.values).flatten(0, 1)
    return Rows(change.ptr * count, index[order], values[order], change.height * count)


def kmeans(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Centres by Lloyd's algorithm, float ``[count, width]``.

    It starts from a point at random and, each time, the one farthest from those before.
    """
    centres = points[torch.randint(len(points), (1,), generator=generator)]
    while len(centres) < count:
        farthest = torch.cdist(points, centres).amin(1).argmax()
        centres = torch.cat((centres, points[farthest][None]))
    for _ in range(SWEEPS):
        own = torch.cdist(points, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, own, points)
        size = torch.bincount(own, minlength=count)[:, None]
        centres = torch.where(size > 0, sums / size.clamp(min=1), centres)
    return centres


def _mixed(task: Task, mixture: Tensor) -> Task:
    """The task with each client's own first table."""
    return replace(task, personal={"items": MixedTables(task.shared["items"], mixture)})
