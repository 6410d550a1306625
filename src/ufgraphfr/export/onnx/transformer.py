"""The sequence Transformer as nodes: what `models.transformer` scores after one history."""

import itertools
import math

import numpy as np
import torch

from ufgraphfr.export.onnx.graph import Array, Graph, Value
from ufgraphfr.export.onnx.history import History
from ufgraphfr.models.transformer import Transformer

_NEVER = -1e9
"""Added to what attention must not see; infinity is no number in some runtimes."""


class Network:
    """The network with its weights."""

    def __init__(self, network: Transformer, net: Array, features: Array) -> None:
        """Takes shapes, weights ``[size]`` and public features ``[items, columns]``."""
        params = network.unpack(torch.from_numpy(net), torch.from_numpy(features))
        self._shape = network
        self._params = {name: value.numpy() for name, value in params.items()}

    def scores(self, history: History, text: Value) -> Value:
        """Of what follows a history, float ``[1, items]``.

        Args:
            history: all of it; the network sees its end.
            text: float ``[1, text_width]``, the projected profile vector.
        """
        graph, shape = history.graph, self._shape
        vectors = graph.weights(self._params["item.weight"])
        recent = history.value.last(shape.history)
        user = graph.array(self._params["joint.bias"][None])
        if shape.text:
            user = text @ graph.weights(self._params["joint.weight"]) + user
        x = graph.cat(0, user, vectors.rows(recent) * math.sqrt(shape.dim))
        zero, one = graph.scalar(0, np.int64), graph.scalar(1, np.int64)
        place = graph.op("Range", zero, x.length(), one)
        x = x + graph.array(self._params["position.weight"]).rows(place)
        back = place.widen(1) - place
        for block in range(shape.blocks):
            x = self._block(f"{block}.", x, back)
        state = self._norm(x.last(1), "last")
        return state @ vectors.turned(1, 0) + graph.array(self._params["item.bias"])

    def _block(self, name: str, x: Value, back: Value) -> Value:
        x = x + self._attention(name, self._norm(x, f"{name}attention"), back)
        wide = self._linear(self._norm(x, f"{name}ffn"), f"{name}up")
        gate, other = self._split(x.graph, wide, 2)
        return x + self._linear(gate * gate.call("Sigmoid") * other, f"{name}down")

    def _attention(self, name: str, x: Value, back: Value) -> Value:
        graph, shape = x.graph, self._shape
        size = shape.dim // shape.heads
        query, key, value = (
            each.shaped(-1, shape.heads, size).turned(1, 0, 2)
            for each in self._split(graph, self._linear(x, f"{name}in"), 3)
        )
        nearest = graph.scalar(0, np.int64)
        far = back.at_least(nearest).at_most(graph.scalar(shape.reach - 1, np.int64))
        bias = graph.array(self._params[f"{name}distance.bias"]).rows(far, axis=1)
        bias = graph.where(back < nearest, graph.scalar(_NEVER), bias)
        logits = query @ key.turned(0, 2, 1) * (size**-0.5) + bias
        mixed = logits.call("Softmax", axis=-1) @ value
        return self._linear(mixed.turned(1, 0, 2).shaped(-1, shape.dim), f"{name}out")

    def _split(self, graph: Graph, value: Value, count: int) -> list[Value]:
        """Equal parts of the last axis."""
        width = (3 * self._shape.dim if count == 3 else 2 * self._shape.width) // count
        bounds = [graph.whole(width * part) for part in range(count + 1)]
        axis = graph.whole(1)
        return [
            graph.op("Slice", value, low, high, axis) for low, high in itertools.pairwise(bounds)
        ]

    def _linear(self, x: Value, name: str) -> Value:
        bias = x.graph.array(self._params[f"{name}.bias"])
        return x @ x.graph.weights(self._params[f"{name}.weight"]) + bias

    def _norm(self, x: Value, name: str) -> Value:
        gain, shift = (x.graph.array(self._params[f"{name}.{own}"]) for own in ("gain", "shift"))
        return x.graph.op("LayerNormalization", x, gain, shift, axis=-1, epsilon=1e-5)
