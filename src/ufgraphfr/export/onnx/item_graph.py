"""The item graph as nodes: what `graph.part.ItemGraph` scores, for one history."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from onnx import TensorProto

from ufgraphfr.algorithms.ufgraphformer.graph.config import (
    COUNTS,
    LATELY,
    LEVELS,
    NEXT,
    SHRINK,
)
from ufgraphfr.algorithms.ufgraphformer.graph.dense import RIDGE, DenseGraph, conditional_scales
from ufgraphfr.algorithms.ufgraphformer.graph.part import LASTING, ItemGraph, View
from ufgraphfr.export.onnx.graph import Array, Graph, Value
from ufgraphfr.export.onnx.history import History
from ufgraphfr.export.onnx.tables import (
    Links,
    Rows,
    companded,
    counted,
    counted_in_units,
    lower,
    small,
)

State = dict[str, Array]
_TINY = 1e-12


def graph_scores(part: ItemGraph, shared: State, history: History) -> Value:
    """Popularity and each view, float ``[views, items]``; see `ItemGraph.scores`."""
    graph, items = history.graph, history.items
    counted_ = [np.log(shared[name] + 1) for name in (COUNTS, LATELY) if name in shared]
    popular, *lately = (graph.array(own[None].astype(np.float32)) for own in counted_)
    views = part.views(items, NEXT in shared)
    form = Dense(shared, history) if part.spec.is_dense(items) else Sparse(shared, history)
    found = [
        form.propagated(name, history.weights([decay for _, decay in own]), len(own))
        for name, own in _by_operator(views)
    ]
    scale = np.maximum(shared[COUNTS], 1)[:, None] ** part.spec.power
    vectors = shared["graph.low_pass"]
    near, far = graph.weights(vectors / scale), graph.weights(vectors * scale)
    smooth = history.weights([LASTING]) @ near.rows(history.padded) @ far.turned(1, 0)
    return graph.cat(0, popular, smooth, *lately, *found)


def _by_operator(views: tuple[View, ...]) -> Iterator[tuple[str, list[View]]]:
    """Views in a row that share an operator."""
    for name, own in groupby(views, key=lambda view: view[0]):
        yield name, list(own)


class Sparse:
    """The operators of a large catalogue: each item's strongest links."""

    def __init__(self, shared: State, history: History) -> None:
        self._history = history
        self._links = {
            name.removeprefix("graph."): links_of(history.graph, value, shared[f"{name}.index"])
            for name, value in shared.items()
            if f"{name}.index" in shared
        }

    def propagated(self, name: str, weights: Value, views: int) -> Value:
        """The history, weighted, sent through an operator, float ``[views, items]``."""
        return self._links[name].propagated(self._history.padded, weights, views)


def links_of(graph: Graph, value: Array, index: Array) -> Links:
    """Padded links, see `graph.links`, without those that are none."""
    row, place = np.nonzero(value)
    return Links.of(graph, row, index[row, place], value[row, place], len(value))


@dataclass(frozen=True)
class Divided:
    """What counts of pairs are divided by.

    Attributes:
        rows: those of the history, float ``[length, items]``.
        table: all, ``[items, items]``.
    """

    rows: Value
    table: Array


class Dense:
    """The operators of a catalogue whose pairs of items fit into memory."""

    def __init__(self, shared: State, history: History) -> None:
        self._history, self._shared = history, shared
        self._graph, items = history.graph, history.padded
        self._rows = Rows(items, history.items)
        self._half = self._rows.half()
        root = np.sqrt(np.maximum(shared[COUNTS], 1)).astype(np.float32)
        self._roots = self._product(root, root, SHRINK)
        self._having = (shared[COUNTS] + 1).astype(np.float32)
        self._pair: tuple[Value, Value] | None = None

    def propagated(self, name: str, weights: Value, views: int) -> Value:
        """As `Sparse.propagated`."""
        if name == DenseGraph.ridge:
            return self._ridge(weights)
        table = self._shared[f"graph.{name}"]
        unit, by = 1.0, self._rare() if name == "conditional" else self._roots
        if name in ("cosine", "conditional"):
            whole, unit = counted_in_units(table * by.table, LEVELS)
        elif name == "step":
            whole = counted(table * self._having[:, None])
        else:
            whole = self._counted_successions(table if name == "cooccurrence" else None)
        if whole is None:
            return weights @ self._graph.weights(table).rows(self._history.padded)
        if name == "step":
            return self._steps(whole, weights, views)
        if name in ("cosine", "conditional"):
            both = whole, small(whole)
            return self._divided(self._stored(whole), both, by, weights, views) * unit
        before, after = self._successions(whole)
        if name == "next":
            rows = self._graph.where(self._rows.before(), before, after)
            both = whole, small(whole)
        else:
            stored = small(whole).astype(np.int64)
            rows, both = before + after, (whole + whole.T, stored + stored.T)
        return self._divided(rows, both, by, weights, views) / LEVELS

    def _product(self, before: Array, after: Array, shrink: float = 0.0) -> Divided:
        """By a number of the history's item times one of the candidate, and something more."""
        near, far = self._graph.array(before), self._graph.array(after)
        rows = near.rows(self._history.padded).widen(1) * far + shrink
        return Divided(rows, np.outer(before, after) + np.float32(shrink))

    def _rare(self) -> Divided:
        before, after = conditional_scales(torch.from_numpy(self._shared[COUNTS]))
        return self._product(1 / before.numpy(), 1 / after.numpy())

    def _counted_successions(self, both_ways: Array | None) -> Array | None:
        """What followed what, if it is counts, and if those both ways are their sum."""
        product = self._roots.table * LEVELS
        whole = counted(self._shared[NEXT] * product)
        if whole is None or both_ways is None:
            return whole
        both = counted(both_ways * product)
        return whole if both is not None and np.array_equal(whole + whole.T, both) else None

    def _stored(self, whole: Array) -> Value:
        """The history's rows of a symmetric table, as far as a byte goes."""
        half = self._graph.array(lower(small(whole)))
        return half.rows(self._half).cast(TensorProto.FLOAT)

    def _successions(self, whole: Array) -> tuple[Value, Value]:
        """What followed and what went before, of each pair's item that comes first."""
        if self._pair is None:
            self._pair = self._stored(whole.T), self._stored(whole)
        return self._pair

    def _divided(
        self, rows: Value, both: tuple[Array, Array], by: Divided, weights: Value, views: int
    ) -> Value:
        """Counts sent on as `item_graph.normalised`; what a byte does not hold is added.

        Args:
            rows: those of the history, as far as a byte goes.
            both: all counts, and what a byte holds of them.
            by: what they are divided by.
            weights: of the history.
            views: how many.
        """
        whole, stored = both
        scores = weights @ (rows / by.rows)
        row, column = np.nonzero(whole > stored)
        if not len(row):
            return scores
        more = (whole - stored)[row, column] / by.table[row, column]
        links = Links.of(self._graph, row, column, more.astype(np.float32), len(whole))
        return scores + links.propagated(self._history.padded, weights, views)

    def _steps(self, whole: Array, weights: Value, views: int) -> Value:
        row, column = np.nonzero(whole)
        links = Links.of(self._graph, row, column, whole[row, column], len(whole))
        total = self._graph.array(self._having)
        items = self._history.padded
        return links.propagated(items, weights / total.rows(items), views)

    def _ridge(self, weights: Value) -> Value:
        """Without what an item adds to itself: -w (D^-1/2 B D^-1/2 - 1) scaled, D its diagonal."""
        inverse, items = self._shared[RIDGE].astype(np.float64), self._history.padded
        root = np.sqrt(np.maximum(inverse.diagonal(), _TINY))
        # its diagonal is zero, but where there is no operator yet
        alike = inverse / root[:, None] / root - np.eye(len(root))
        own, scale = companded(self._graph, alike, self._half)
        rows = own * own.call("Abs") * scale
        each = self._graph.array(root.astype(np.float32))
        near = weights * scale.rows(items) * each.rows(items)
        return 0.0 - near @ rows / each
