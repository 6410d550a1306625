"""A family of graph filters, fused by coefficients that devices fit: a graph network's simplest.

Every filter is a function of the one item operator P (`graph_filter`): a hop with several powers of
popularity, and ideal low-passes of several ranks. So the family costs what one filter costs, a sum
over clients, once. Scores are standardised and squashed for each user, and their coefficients are
fitted on the validation items, by sums over devices of some hundred numbers (`ops.fusion`).
"""

from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.item_operator.directions import directions
from ufgraphfr.algorithms.item_operator.operator import COUNTS, INDEX, PTR, VALUE, filtered
from ufgraphfr.algorithms.item_operator.summed import FromOperator
from ufgraphfr.core.messages import Private, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.blend import weighted
from ufgraphfr.ops.fusion import squashed
from ufgraphfr.ops.recency import propagate

VECTORS = "filter.vectors"
"""In the server's memory: the operator's smoothest directions, float ``[items, rank]``."""
BLEND = "blend"


class GraphFilterFusion(FromOperator):
    """Hyper-parameters of a fused family of graph filters."""

    counted: ClassVar[dict[str, str]] = {"ranks": "items"}

    history_powers: tuple[float, ...] = Field((0.3, 0.6), min_length=1)
    """a: how much less a popular item of the history counts, in hops."""
    item_powers: tuple[float, ...] = Field((0.3, 0.5), min_length=1)
    """b: how much less a popular item is recommended, in hops with each a, and by low-passes."""
    ranks: tuple[int, ...] = Field((64, 256, 512), min_length=1)
    """Directions of the low-passes."""
    weights: tuple[float, ...] = ()
    """A coefficient for each filter, as a run's validation has found them; used where nobody is
    asked for validation. Without them all filters count alike."""

    @model_validator(mode="after")
    def _has_a_weight_for_each(self) -> "GraphFilterFusion":
        if self.weights and len(self.weights) != len(self.names):
            raise ValueError(
                f"weights has {len(self.weights)} numbers, and there are {len(self.names)} "
                f"filters: {', '.join(self.names)}"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What each filter is called."""
        hops = (f"hop {a:g}/{b:g}" for a in self.history_powers for b in self.item_powers)
        smooth = (f"low-pass {rank}/{b:g}" for rank in self.ranks for b in self.item_powers)
        return *hops, *smooth, "popularity"

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        vectors = torch.zeros(setting.items, min(max(self.ranks), setting.items))
        first = self.fixed_blends(setting)[0]
        return self.operator.begun(setting.items) | {VECTORS: vectors, BLEND: first}

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `capabilities.ScoringTask`: what validation notes beside the blend stays."""
        names = (COUNTS, PTR, INDEX, VALUE, VECTORS, BLEND)
        return Task(round_number, clients, {name: state[name] for name in names}, {})

    def completed(self, state: State) -> State:
        """See `FromOperator.completed`."""
        vectors, _ = directions(state, state[VECTORS].shape[1])
        return {VECTORS: vectors}

    def parts(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `capabilities.Blended`: each filter's scores, standardised, with lighter tails."""
        state, items = task.shared, inputs.items
        counts = state[COUNTS].clamp(min=1)
        scales = [counts ** (0.5 - b) for b in self.item_powers]
        weights = torch.stack([counts[items] ** (0.5 - a) for a in self.history_powers])
        found = [hop * scale for hop in filtered(state, inputs, weights) for scale in scales]
        low_pass = self._low_passes(state, inputs, counts)
        found += [low_pass[rank] * scale for rank in self.ranks for scale in scales]
        return squashed([*found, counts.log().expand(len(inputs), -1)])

    def _low_passes(self, state: State, inputs: ClientBatch, counts: Tensor) -> dict[int, Tensor]:
        """Histories on the smoothest directions by rank, float ``[clients, items]``."""
        vectors, root = state[VECTORS], counts.sqrt()
        own = propagate(inputs.ptr, inputs.items, root[inputs.items].reciprocal(), vectors)
        total, done, found = own.new_zeros(len(own), len(vectors)), 0, dict[int, Tensor]()
        for rank in sorted(set(self.ranks)):
            total = torch.addmm(total, own[:, done:rank], vectors[:, done:rank].T)
            found[rank], done = total * root, rank
        return found

    def part_names(self, setting: Setting) -> tuple[str, ...]:
        """See `capabilities.Blended`."""
        return self.names

    def blended(self, task: Task, inputs: ClientBatch, parts: Tensor, weights: Tensor) -> Tensor:
        """See `capabilities.Blended`."""
        return weighted(parts, weights)

    def fixed_blends(self, setting: Setting) -> Tensor:
        """See `capabilities.Blended`: the given weights, or all filters but popularity alike."""
        if self.weights:
            return torch.tensor([self.weights])
        return torch.tensor([[1.0] * (len(self.names) - 1) + [0.0]])

    @property
    def priors(self) -> Tensor:
        """See `capabilities.Blended`: every coefficient is fitted."""
        return torch.zeros(1, 0)

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        weights = task.shared[BLEND].expand(1, len(inputs), -1)
        return self.blended(task, inputs, self.parts(task, inputs, private), weights)[0]

    def contributions(
        self, setting: Setting, task: Task, inputs: ClientBatch, private: Private
    ) -> dict[str, Tensor]:
        """See `capabilities.Explained`."""
        parts = self.parts(task, inputs, private)
        return dict(zip(self.names, task.shared[BLEND][:, None, None] * parts, strict=True))
