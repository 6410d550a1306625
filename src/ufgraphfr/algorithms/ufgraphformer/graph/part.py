"""The item graph as a part of the model: an item graph from sums of clients' contributions.

A client adds to each pair of its items, the less the more it has, and, where its history has an
order, to each item and one that followed it, the more the sooner, and once more if it followed at
once; and it adds what it has, and what it had last, which tells what is on the rise. The server
turns the sums into operators: the inverse that ridge regression needs (EASE), normalised
co-interaction, co-occurrence near each other and succession, or without order how many of an
item's clients have another, and a projection on the graph's smoothest directions. The device
propagates its own history over them, all of it alike or the recent items more: linear graph
networks of one hop, one hop and, in the limit, all hops, whose input never leaves the device.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.ufgraphformer.graph.config import (
    COUNTS,
    LATELY,
    LEVELS,
    NEXT,
    PAIRS,
    SHRINK,
    STEP,
    GraphSpec,
)
from ufgraphfr.algorithms.ufgraphformer.graph.contribution import Block
from ufgraphfr.algorithms.ufgraphformer.graph.dense import DenseGraph
from ufgraphfr.algorithms.ufgraphformer.graph.sparse import SparseGraph, is_list
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.core.arrays.memo import memo
from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.core.errors import InputError, of_another_version
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State, Summed, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.fusion import Scorer
from ufgraphfr.ops.item_graph import spectral
from ufgraphfr.ops.recency import propagate

View = tuple[str, float]
"""An operator, and the weight of a history item relative to the next one."""
PAIR_BYTES, CLIENT_BYTES = 32, 2048
"""Of a pair of a client's items in a sparse sum that is being made, at most 28 as measured; and of
what it says by its profile."""
LASTING, RECENT, LATEST, LAST = 1.0, 0.8, 0.3, 0.0
"""Taste that lasts, that of some ten items, of the last few, and of the last one."""


@dataclass(frozen=True)
class ItemGraph(Part):
    """The item graph.

    Attributes:
        spec: its hyper-parameters.
    """

    spec: GraphSpec

    def form(self, items: int) -> DenseGraph | SparseGraph:
        """The graph for a catalogue of so many items."""
        return (DenseGraph if self.spec.is_dense(items) else SparseGraph)(self.spec)

    def views(self, items: int, ordered: bool) -> tuple[View, ...]:
        """In which ways a history is propagated."""
        form = self.form(items)
        if not ordered:
            return (form.ridge, LASTING), ("cosine", LASTING), ("conditional", LASTING)
        # beside what comes next, regression among the nearest adds nothing
        lasting = (form.ridge, "cosine") if self.spec.is_dense(items) else ("cosine",)
        whole = ((name, decay) for name in lasting for decay in (LASTING, RECENT))
        near = ((name, decay) for name in ("cooccurrence", "next") for decay in (RECENT, LATEST))
        return *whole, *near, ("step", LAST)

    def names(self, setting: Setting) -> tuple[str, ...]:
        """See `Part.names`."""
        views = self.views(setting.items, setting.sequential)
        ridge = self.form(setting.items).ridge
        named = (f"{'ridge' if name == ridge else name} {decay:g}" for name, decay in views)
        lately = ("recent popularity",) if setting.sequential else ()
        return "popularity", "low-pass", *lately, *named

    @property
    def integer_bounds(self) -> dict[str, int]:
        """See `Part.integer_bounds`."""
        return {PAIRS: LEVELS, COUNTS: 1, NEXT: LEVELS, STEP: 1, LATELY: LEVELS}

    def state(self, setting: Setting) -> State:
        """See `Part.state`."""
        views = self.views(setting.items, setting.sequential)
        operators = tuple(dict.fromkeys(name for name, _ in views))
        few = {"graph.low_pass": torch.zeros(setting.items, self.spec.rank)}
        few |= {name: torch.zeros(setting.items) for name in (COUNTS, LATELY)}
        if not setting.sequential:
            del few[LATELY]
        return few | self.form(setting.items).empty(setting.items, operators)

    def contribution(self, task: Task, batch: ClientBatch, key: Key) -> Update | None:
        """See `Part.contribution`: sums over these clients, in the first rounds."""
        if task.round > self.spec.rounds:
            return None
        block = Block(self.spec, batch.n_items, task.round)
        sums = block.contribution(batch, bool(task.shared["ordered"]))
        return Update({**sums}, torch.zeros(len(batch), device=batch.items.device), summed=True)

    def stacked_bytes(self, counts: Tensor, items: int) -> Tensor | None:
        """What clients' sparse sums hold while they are made; of dense ones a chunk says it."""
        if self.spec.is_dense(items):
            return None
        pairs = counts.double() * (counts + self.spec.reach) / self.spec.rounds
        return PAIR_BYTES * pairs + CLIENT_BYTES

    def collect(self, state: State, sums: Summed, round_number: int) -> State:
        """See `Part.collect`: one more part of the sums, and at last the operators.

        Raises:
            InputError: an earlier version, whose sums mean something else, began them.
        """
        if PAIRS not in sums:
            return state
        begun = (own.any() for name, own in state.items() if name.startswith(PAIRS))
        # the counts first: the pairs are many
        if not bool(state[COUNTS].any()) and any(begun):
            raise InputError(
                "the checkpoint holds sums of the item graph as an earlier version made them, "
                "which this one cannot continue: delete the run folder and start again"
            )
        items = len(state[COUNTS])
        form, block = self.form(items), Block(self.spec, items, round_number)
        kept = state | form.collected(state, sums, block)
        for name, unit in ((COUNTS, 1), (LATELY, LEVELS)):
            if name in sums:
                kept[name] = kept[name].clone()
                kept[name][block.places] = sums[name] / unit
        if round_number < self.spec.rounds:
            return kept
        found = form.operators(kept)
        return {name: value for name, value in kept.items() if not is_list(name)} | found

    def shared(self, state: State) -> State:
        """See `Part.shared`.

        Raises:
            InputError: an earlier version made the operators, which had not all of these.
        """
        views = self.views(len(state[COUNTS]), NEXT in state)
        if missing := {f"graph.{name}" for name, _ in views} - state.keys():
            raise of_another_version(f"the item graph has no {', '.join(sorted(missing))}")
        return {
            name: value
            for name, value in state.items()
            if name.startswith("graph.") and name != PAIRS and not is_list(name)
        }

    def scores(self, shared: State, inputs: ClientBatch) -> tuple[Scorer, ...]:
        """See `Part.scores`: popularity, and what each operator says."""
        form, items = self.form(inputs.n_items), inputs.n_items
        counted = [(shared[name] + 1).log() for name in (COUNTS, LATELY) if name in shared]
        popular, *lately = (partial(own.expand, len(inputs), -1) for own in counted)
        views = self.views(items, NEXT in shared)
        history = {
            decay: _weighted(inputs, decay) for decay in {LASTING, *(decay for _, decay in views)}
        }

        def smooth() -> Tensor:
            inward, outward = _low_pass(shared["graph.low_pass"], shared[COUNTS], self.spec.power)
            return propagate(*history[LASTING], inward) @ outward.T

        found = (partial(form.propagated, shared, name, history[decay]) for name, decay in views)
        return popular, smooth, *lately, *found

    def is_feasible(self, arrays: State, setting: Setting, round_number: int) -> bool:
        """See `Part.is_feasible`: sums of one history."""
        return PAIRS not in arrays or Block(self.spec, setting.items, round_number).is_feasible(
            arrays
        )

    def item_views(self, arrays: State, setting: Setting, round_number: int) -> State:
        """See `Part.item_views`."""
        if PAIRS not in arrays or round_number > self.spec.rounds:
            return arrays
        return arrays | Block(self.spec, setting.items, round_number).by_item(arrays)

    def item_vectors(self, state: State, dim: int, generator: torch.Generator) -> Tensor:
        """Item vectors ``[items, dim]`` whose products approximate co-occurrence, of unit variance.

        An item co-occurs with itself as much as can be.
        """
        total = state[COUNTS]
        name = "cooccurrence" if "graph.cooccurrence" in state else "cosine"
        form = self.form(len(total))
        operator = form.with_diagonal(state, name, total / (total + SHRINK))
        vectors = spectral(operator, dim, generator)
        return vectors / vectors.std().clamp(min=torch.finfo(vectors.dtype).tiny)


def _weighted(inputs: ClientBatch, decay: float) -> tuple[Tensor, Tensor, Tensor]:
    """Histories with weights, as `propagate` takes them; only what has any weight."""
    if decay == LAST:
        recent, there = inputs.last(1)
        inputs = inputs.with_history(pointers(there), recent[there > 0, 0])
    return inputs.ptr, inputs.items, inputs.recency(decay)


@memo
def _low_pass(vectors: Tensor, counts: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """What a history is projected by and scores are made with, each float ``[items, rank]``."""
    scale = counts.clamp(min=1)[:, None] ** power
    return vectors / scale, vectors * scale
