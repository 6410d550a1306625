"""The item graph as a part of the model: an item graph from sums of clients' contributions.

A client adds 1 to each pair of its items and, to pairs that lie near each other in its history, the
more the nearer. The server turns the sums into three operators: the inverse that ridge regression
needs (EASE), normalised co-occurrence, and a projection on the graph's smoothest directions. The
device propagates its own recency-weighted history over them: linear graph networks of one hop, one
hop and, in the limit, all hops, whose input never leaves the device.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.ufgraphformer.graph.config import OPERATORS, GraphSpec
from ufgraphfr.algorithms.ufgraphformer.graph.dense import DenseGraph
from ufgraphfr.algorithms.ufgraphformer.graph.sparse import SparseGraph
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.item_graph import spectral


@dataclass(frozen=True)
class ItemGraph(Part):
    """The item graph.

    Attributes:
        spec: its hyper-parameters.
        operator_shares: the weights of an operator that validation chooses from.
    """

    spec: GraphSpec
    operator_shares: tuple[float, ...] = (1.0,)

    def form(self, items: int) -> DenseGraph | SparseGraph:
        """The graph for a catalogue of so many items."""
        return (SparseGraph if items > self.spec.dense_items else DenseGraph)(self.spec)

    @property
    def integer_bounds(self) -> dict[str, int]:
        """See `Part.integer_bounds`."""
        return DenseGraph(self.spec).integer_bounds | SparseGraph(self.spec).integer_bounds

    @property
    def shares(self) -> tuple[tuple[float, ...], ...]:
        """See `Part.shares`."""
        return (self.operator_shares,) * len(OPERATORS)

    def state(self, setting: Setting) -> State:
        """See `Part.state`."""
        return self.form(setting.items).empty(setting.items)

    def contribution(self, task: Task, batch: ClientBatch, key: Key) -> Update | None:
        """See `Part.contribution`: sums over these clients, in the first rounds."""
        if task.round > self.spec.rounds:
            return None
        sums = self.form(batch.n_items).contribution(batch, task.round)
        return Update({**sums}, torch.zeros(len(batch), device=batch.items.device), summed=True)

    def collect(self, state: State, sums: State, round_number: int) -> State:
        """See `Part.collect`: one more part of the sums, and at last the operators."""
        form = self.form(len(state["graph.counts"]))
        if not form.integer_bounds.keys() <= sums.keys():
            return state
        kept = form.collected(state, sums, round_number)
        return state | (form.operators(kept) if round_number == self.spec.rounds else kept)

    def shared(self, state: State) -> State:
        """See `Part.shared`."""
        return {name: value for name, value in state.items() if name.startswith("graph.")}

    def scores(self, shared: State, inputs: ClientBatch) -> Tensor:
        """See `Part.scores`: each operator's for the whole history, ``[3, clients, items]``."""
        return self.form(inputs.n_items).scores(shared, inputs)

    def is_feasible(self, arrays: State, setting: Setting, round_number: int) -> bool:
        """See `Part.is_feasible`: sums of one history."""
        form = self.form(setting.items)
        if not form.integer_bounds.keys() <= arrays.keys():
            return True
        return form.is_feasible(arrays, setting.items, round_number)

    def item_views(self, arrays: State, setting: Setting, round_number: int) -> State:
        """See `Part.item_views`."""
        form = self.form(setting.items)
        if not form.integer_bounds.keys() <= arrays.keys() or round_number > self.spec.rounds:
            return arrays
        return arrays | form.item_views(arrays, setting.items, round_number)

    def item_vectors(self, state: State, dim: int, generator: torch.Generator) -> Tensor:
        """Item vectors ``[items, dim]`` whose products approximate co-occurrence, of unit variance.

        An item co-occurs with itself as much as can be.
        """
        operator = self.form(len(state["graph.counts"])).cooccurrence(state)
        vectors = spectral(operator, dim, generator)
        return vectors / vectors.std().clamp(min=torch.finfo(vectors.dtype).tiny)
