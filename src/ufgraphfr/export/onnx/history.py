"""One history as a graph reads it: items, oldest first, and weights by recency."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from ufgraphfr.export.onnx.graph import Graph, Value


class History:
    """The items that somebody has, each once.

    Attributes:
        graph: which grows.
        items: how many items there are in the catalogue.
        ordered: whether the order of what somebody has means something.
        value: int64 ``[length]``; it may be empty.
        count: how many, int64.
        padded: int64 ``[length + 1]``, one more that weighs nothing: products over no row at all
            are not the same in every runtime.
    """

    def __init__(self, graph: Graph, items: int, ordered: bool) -> None:
        """Declares the input; its order may mean nothing."""
        self.graph, self.items, self.ordered = graph, items, ordered
        self.value = graph.input("history", TensorProto.INT64, ["length"])
        self.count = self.value.length()
        self.padded = graph.cat(0, self.value, graph.whole(0))

    def weights(self, decays: Sequence[float]) -> Value:
        """Of each item for each decay, ``[decays, length + 1]``; see `ClientBatch.recency`."""
        graph = self.graph
        decays = decays if self.ordered else [1.0] * len(decays)
        zero, one = graph.scalar(0, np.int64), graph.scalar(1, np.int64)
        place = graph.op("Range", zero, self.count, one)
        age = (self.count - one - place).cast(TensorProto.FLOAT)
        found = graph.op("Pow", graph.array(np.array(decays, np.float32)[:, None]), age)
        nothing = graph.array(np.zeros((len(decays), 1), np.float32))
        return graph.cat(1, found, nothing)
