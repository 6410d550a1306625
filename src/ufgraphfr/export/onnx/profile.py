"""What a profile says, as nodes: `graph.profile.lift` and the vector that the Transformer reads."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from ufgraphfr.algorithms.ufgraphformer.graph import profile_map
from ufgraphfr.algorithms.ufgraphformer.graph.profile import LEAST, SMOOTHING
from ufgraphfr.export.onnx.graph import Array, Graph, Value


@dataclass(frozen=True)
class Described:
    """A user's sentence in the two forms that parts read.

    Attributes:
        coordinates: float ``[1, 1 + width]``, see `profile_map.coordinates`.
        projected: float ``[1, width]``, token 0 of the Transformer.
    """

    coordinates: Value
    projected: Value


def from_vector(graph: Graph, width: int, projection: Array | None) -> Described:
    """From the sentence's vector, an input ``profile`` of the graph."""
    text = graph.input("profile", TensorProto.FLOAT, [width]).widen(0)
    own = graph.array(profile_map.projection(width).numpy())
    length = (text * text).sum(-1, keep=True).call("Sqrt").at_least(1e-12)
    found = text / length @ own
    reach = profile_map.REACH / max(1, min(width, profile_map.WIDTH)) ** 0.5
    whole = ((found / reach + 1.0) * (profile_map.LEVELS / 2)).call("Round")
    whole = whole.at_least(0.0).at_most(float(profile_map.LEVELS))
    one = graph.array(np.ones((1, 1), np.float32))
    projected = text if projection is None else text @ graph.weights(projection)
    return Described(graph.cat(1, one, whole), projected)


def from_sentence(graph: Graph, width: int, projected_width: int) -> Described:
    """From what was worked out of a sentence before, two inputs of the graph."""
    wide = 1 + min(width, profile_map.WIDTH)
    return Described(
        graph.input("coordinates", TensorProto.FLOAT, [wide]).widen(0),
        graph.input("projected", TensorProto.FLOAT, [projected_width]).widen(0),
    )


def lift(graph: Graph, mapped: Array, counts: Array, described: Described) -> Value:
    """How much likelier each item is, by the text, float ``[1, items]``; see `profile.lift`."""
    relative = (described.coordinates @ graph.weights(mapped) + 1.0).at_least(LEAST)
    number = graph.array(counts.astype(np.float32))
    return ((relative * number + SMOOTHING) / (number + SMOOTHING)).call("Log")
