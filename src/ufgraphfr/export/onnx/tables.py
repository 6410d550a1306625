"""Item-item operators of the graph as small arrays: what clients counted, not what came of it.

A normalised operator is a whole number over a product of two roots. The numbers are stored, most of
them in a byte, of symmetric tables one half; the rest is worked out for the rows that a history
asks for. What is no whole number is stored as it is.
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from ufgraphfr.export.onnx.graph import Array, Graph, Value

_ROUNDING = 1e-2
"""Farther from a whole number than this, a count was noised."""
_BYTE = 255


def counted(table: Array) -> Array | None:
    """The whole numbers that a table holds up to rounding, or None if it does not."""
    whole: Array = np.round(table)
    fine = table.size and np.abs(table - whole).max() < _ROUNDING and whole.min() >= 0
    return whole.astype(np.int64) if fine else None


def counted_in_units(table: Array, most: int) -> tuple[Array | None, float]:
    """The same where all numbers are multiples of one, of which the smallest has at most ``most``.

    Returns:
        the multiples, if they are, and of what.
    """
    smallest = float(table.min(where=table > 0, initial=np.inf))
    for multiple in range(1, most + 1):
        unit = smallest / multiple
        whole = counted(table / unit) if np.isfinite(unit) else None
        if whole is not None:
            return whole, unit
    return None, 1.0


@dataclass(frozen=True)
class Rows:
    """The rows of a history in tables of items times items.

    Attributes:
        history: int64 ``[length]``.
        items: how many there are.
    """

    history: Value
    items: int

    def half(self) -> Value:
        """Where each row's numbers are in one half of a symmetric table, int64 [length, items]."""
        graph, each = self.history.graph, np.arange(self.items, dtype=np.int64)
        begin, column = graph.array(each * (each + 1) // 2), graph.array(each)
        own = self.history.widen(1)
        below = begin.rows(self.history).widen(1) + column
        return graph.where(self.before(), begin + own, below)

    def before(self) -> Value:
        """Whether the history's item is the first of each pair, bool ``[length, items]``."""
        each = np.arange(self.items, dtype=np.int64)
        return self.history.widen(1) < self.history.graph.array(each)


def lower(table: Array) -> Array:
    """One half of a table with the diagonal, row by row."""
    found: Array = table[np.tril_indices(len(table))]
    return found


def small(whole: Array) -> Array:
    """The numbers, as far as a byte goes."""
    return np.minimum(whole, _BYTE).astype(np.uint8)


def companded(graph: Graph, table: Array, half: Value) -> tuple[Value, Value]:
    """A symmetric table in 24 bits, or 8, with a scale for each item.

    Entry (i, j) is ``sign(q) q^2 r_i r_j``: a root gives small numbers more of the bits. 16 bits
    would do but for one score in a million.

    Returns:
        q for the rows that ``half`` says, see `Rows.half`, and r ``[items]``.
    """
    scale = np.sqrt(np.maximum(np.abs(table).max(1), 1e-12))
    root = lower(np.sign(table) * np.sqrt(np.abs(table / scale[:, None] / scale)))
    most = 127 if graph.int8 else 2**23 - 1
    top = float(np.abs(root).max()) or 1.0
    codes = np.round(root / top * most).astype(np.int32)
    kinds = [np.int8] if graph.int8 else [np.int16, np.uint8]
    parts = [codes] if graph.int8 else [codes >> 8, codes & _BYTE]
    high, *low = (
        graph.array(part.astype(kind)).rows(half).cast(TensorProto.FLOAT)
        for part, kind in zip(parts, kinds, strict=True)
    )
    found = high * 256.0 + low[0] if low else high
    return found, graph.array((scale * top / most).astype(np.float32))


@dataclass(frozen=True)
class Links:
    """Single entries of a table, row after row.

    Attributes:
        begin: int64 ``[items]``, where a row's entries begin.
        length: int64 ``[items]``, how many it has.
        column: whole numbers ``[entries]``.
        value: ``[entries]``.
        longest: the most entries of a row.
        items: how many there are.
    """

    begin: Value
    length: Value
    column: Value
    value: Value
    longest: int
    items: int

    @classmethod
    def of(cls, graph: Graph, row: Array, column: Array, value: Array, items: int) -> "Links":
        """From entries in the order of their rows."""
        length = np.bincount(row, minlength=items).astype(np.int64)
        # one entry that is none, so that there is something to read where a row has nothing
        narrow = np.uint16 if items <= 2**16 else np.int32
        column = np.append(column, 0).astype(narrow)
        few = value.dtype.kind == "i" and value.max(initial=0) <= _BYTE
        value = np.append(value, 0).astype(np.uint8 if few else np.float32)
        return cls(
            graph.array(np.cumsum(length) - length),
            graph.array(length),
            graph.array(column),
            graph.array(value),
            max(1, int(length.max(initial=0))),
            items,
        )

    def propagated(self, history: Value, weights: Value, views: int) -> Value:
        """Weighted sums of a history's rows, float ``[views, items]``; see `ops.recency`.

        Args:
            history: int64 ``[length]``.
            weights: float ``[views, length]``.
            views: how many.
        """
        graph, each = history.graph, np.arange(self.longest, dtype=np.int64)
        place = graph.array(each)
        there = place < self.length.rows(history).widen(1)
        # the last entry is none
        index = graph.where(there, self.begin.rows(history).widen(1) + place, graph.whole(-1))
        value = self.value.rows(index).cast(TensorProto.FLOAT)
        added = (weights.widen(2) * value).shaped(views, -1)
        column = self.column.rows(index).cast(TensorProto.INT64).shaped(1, -1)
        column = graph.op("Expand", column, added.call("Shape"))
        nothing = graph.array(np.zeros((views, self.items), np.float32))
        return graph.op("ScatterElements", nothing, column, added, axis=1, reduction="add")
