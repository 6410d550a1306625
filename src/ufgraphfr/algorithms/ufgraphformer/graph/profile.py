"""The profile part: the paper's user graph in one sum over clients.

Users whose profile sentences are alike like the same items. No graph of users is built and no text
is sent: each client adds its text's coordinates, times its history, to one array, and its
coordinates' products to another (`profile_map`). What comes of the sums tells a device, from its
own text alone, how much likelier than for others each item is. It serves users without a history
(`on_device.cold_users`), and everybody else as one more part.
"""

from dataclasses import dataclass
from functools import partial

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS, narrow
from ufgraphfr.algorithms.ufgraphformer.graph.profile_map import (
    HEAVIEST,
    LEVELS,
    WIDTH,
    coordinates,
    history_weights,
    profile_map,
)
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State, Summed, Task
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.fusion import Scorer

MOMENTS, SUMS, MAP = "profile.moments", "profile.sums", "profile.map"
SMOOTHING = 0.5
"""Added to counts, so that what is said of rare items weighs little."""
LEAST = 0.05
"""No item is less likely than this, relative to all users."""


class ProfileSpec(Spec):
    """Hyper-parameters; the ``[algorithm.profile]`` table."""

    rank: int | None = Field(None, ge=1, le=WIDTH)
    """How many principal directions of the texts count; without it, one for every 48 clients, at
    most 32."""


@dataclass(frozen=True)
class Profile(Part):
    """What texts say; it is told in the graph's first round, and needs the graph's counts."""

    spec: ProfileSpec

    @property
    def integer_bounds(self) -> dict[str, int]:
        """See `Part.integer_bounds`."""
        return {MOMENTS: LEVELS**2, SUMS: HEAVIEST * max(LEVELS, HEAVIEST)}

    def names(self, setting: Setting) -> tuple[str, ...]:
        """See `Part.names`."""
        return ("profile",)

    def state(self, setting: Setting) -> State:
        """See `Part.state`."""
        return {MAP: torch.zeros(1 + _width(setting), setting.items)}

    def contribution(self, task: Task, batch: ClientBatch, key: Key) -> Update | None:
        """See `Part.contribution`: whole numbers, summed over those who have a history."""
        if task.round != 1:
            return None
        counts = batch.counts.double()
        own = coordinates(batch.text).double() * (counts > 0)[:, None]
        weights = history_weights(counts)[:, None]
        told = torch.cat((weights, weights.square(), weights * own[:, 1:]), 1)
        owner = owners(batch.ptr, len(batch.items))
        rows = [torch.bincount(batch.items, each[owner], batch.n_items) for each in told.T]
        sums = {MOMENTS: own.T @ own, SUMS: torch.stack(rows)}
        bounds = self.integer_bounds
        arrays = {
            name: narrow(value.long().flatten(), bounds[name] * len(batch))
            for name, value in sums.items()
        }
        return Update({**arrays}, torch.zeros(len(batch), device=batch.items.device), summed=True)

    def collect(self, state: State, sums: Summed, round_number: int) -> State:
        """See `Part.collect`."""
        if SUMS not in sums:
            return state
        wide = len(state[MAP])
        moments, by_item = sums[MOMENTS].view(wide, wide), sums[SUMS].view(wide + 1, -1)
        return state | {MAP: profile_map(moments, by_item, self.spec.rank)}

    def shared(self, state: State) -> State:
        """See `Part.shared`."""
        return {MAP: state[MAP]}

    def scores(self, shared: State, inputs: ClientBatch) -> tuple[Scorer]:
        """See `Part.scores`."""
        return (partial(lift, shared, inputs),)

    def is_feasible(self, arrays: State, setting: Setting, round_number: int) -> bool:
        """See `Part.is_feasible`: the coordinates of one text, and one history."""
        if SUMS not in arrays:
            return True
        wide = 1 + _width(setting)
        moments = arrays[MOMENTS].view(wide, wide).long()
        by_item = arrays[SUMS].view(wide + 1, -1).long()
        own, has = moments[0], (by_item[0] > 0).long()
        weight = history_weights(has.sum().double()).long()
        told = torch.cat((weight[None], weight[None].square(), weight * own[1:]))
        return bool(
            own[0] == has.any()
            and (own[1:] <= LEVELS * own[0]).all()
            and torch.equal(moments, torch.outer(own, own))
            and torch.equal(by_item, torch.outer(told, has))
        )

    def item_views(self, arrays: State, setting: Setting, round_number: int) -> State:
        """See `Part.item_views`."""
        if SUMS not in arrays:
            return arrays
        by_item = arrays[SUMS].unflatten(1, (-1, setting.items)).transpose(1, 2)
        # without an axis that could be taken for the items'
        return arrays | {SUMS: by_item, MOMENTS: arrays[MOMENTS][:, None]}


def lift(shared: State, inputs: ClientBatch) -> Tensor:
    """How much likelier each item is, by the text: a difference of log counts, [clients, items]."""
    counts, own = shared[COUNTS], coordinates(inputs.text)
    # where nobody says more than another, one row stands for all
    own = own[:1] if bool((own == own[:1]).all()) else own
    relative = (own @ shared[MAP].to(own)).add_(1).clamp_(min=LEAST)
    found = relative.mul_(counts).add_(SMOOTHING).div_(counts + SMOOTHING).log_()
    return found.expand(len(inputs), -1)


def _width(setting: Setting) -> int:
    return min(WIDTH, setting.text_width)
