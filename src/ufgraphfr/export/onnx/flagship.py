"""UFGraphFormer as nodes: its parts, their blend, and who is cold; see `ufgraphformer.model`.

One client's scores are written out as the device works them out. What does not depend on the client
is worked out here, and stored as numbers.
"""

import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS
from ufgraphfr.algorithms.ufgraphformer.graph.part import ItemGraph
from ufgraphfr.algorithms.ufgraphformer.graph.profile import MAP, Profile
from ufgraphfr.algorithms.ufgraphformer.light import ITEMS, Light
from ufgraphfr.algorithms.ufgraphformer.model import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_items import PUBLIC, ColdItems
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_users import SMOOTHING, SUM, ColdUsers
from ufgraphfr.algorithms.ufgraphformer.on_device.feature_head import DECAY, RIDGE, FeatureHead
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.algorithms.ufgraphformer.sequence.part import Sequence
from ufgraphfr.export.onnx.graph import Array, Graph, Value
from ufgraphfr.export.onnx.head import preference
from ufgraphfr.export.onnx.history import History
from ufgraphfr.export.onnx.item_graph import graph_scores
from ufgraphfr.export.onnx.profile import Described, lift
from ufgraphfr.export.onnx.transformer import Network
from ufgraphfr.ops.bends import LONG, SHORT, TIMES
from ufgraphfr.ops.fusion import Squash

State = dict[str, Array]
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Scored:
    """What the graph says of one client.

    Attributes:
        scores: float ``[1, items]``.
        from_history: before what others have is mixed in, likewise.
        added: what each part adds to the scores, float ``[parts, items]``.
        names: of these parts; ``prior`` is what others add.
    """

    scores: Value
    from_history: Value
    added: Value
    names: tuple[str, ...]


def flagship(
    model: UFGraphFormer,
    names: tuple[str, ...],
    shared: State,
    history: History,
    described: Described,
) -> Scored:
    """The model's answer to one history and one profile; ``names`` are those of its parts."""
    graph = history.graph
    scored = (_scores(part, shared, history, described) for part in model.active_parts)
    rows = graph.cat(0, *(own for own in scored if own is not None))
    parts = _squashed(rows, history.items, model.squash)
    blend = shared["blend"].astype(np.float32)
    weights = blend[: len(blend) - model.priors.shape[1]]
    own = parts * _bent(model, weights, history)
    from_history = own.sum(0, keep=True)
    scores = from_history
    if model.first_items is not None:
        cold = Cold(model.first_items, shared, history, described)
        own, scores = cold.mixed(own, from_history, float(blend[-1]))
    for part in model.active_parts:
        if isinstance(part, ColdItems):
            scores = _cold_items(part, shared, scores, graph)
    rest = scores - own.sum(0, keep=True)
    return Scored(scores, from_history, graph.cat(0, own, rest), (*names, "prior"))


def _bent(model: UFGraphFormer, weights: Array, history: History) -> Value:
    """See `ops.bends.bent`, float ``[parts, 1]``; the time away is an input, in seconds."""
    graph, (first, *added) = history.graph, weights.reshape(model.sets, -1)
    ramps = []
    if model.history_length:
        items = history.count.cast(TensorProto.FLOAT).at_least(float(SHORT)).shaped(1)
        ramps.append(_ramps(items, np.log2([SHORT, LONG])))
    if model.absence:
        away = graph.input("away", TensorProto.FLOAT, [1]).at_least(0.0) + 1.0
        ramps.append(_ramps(away, np.log2(np.array(list(TIMES.values())) + 1)))
    if not ramps:
        return graph.array(first[:, None])
    each = graph.cat(0, *ramps).widen(0)
    return (graph.array(first[None]) + each @ graph.array(np.stack(added))).turned(1, 0)


def _ramps(number: Value, bends: Array) -> Value:
    """From float ``[1]`` to ``[bends - 1]``, each rising between two logarithms to base 2."""
    graph, at = number.graph, number.call("Log") / math.log(2)
    begins, each = (graph.array(own.astype(np.float32)) for own in (bends[:-1], np.diff(bends)))
    return ((at - begins) / each).at_least(0.0).at_most(1.0)


def _scores(part: Part, shared: State, history: History, described: Described) -> Value | None:
    """See `Part.scores`, float ``[rows, items]``."""
    graph = history.graph
    if isinstance(part, ItemGraph):
        return graph_scores(part, shared, history)
    if isinstance(part, FeatureHead):
        offset = np.log(shared[COUNTS] + 1).astype(np.float32)
        base, features = graph.array(offset[None]), shared["features"]
        if not features.shape[1]:
            return base
        weights = history.weights([DECAY])
        return base + preference(graph, features, offset, history.padded, weights, RIDGE)
    if isinstance(part, Sequence):
        features, width = shared["features"], shared["projection"].shape[1]
        network = part.network(len(features), width, features.shape[1])
        return Network(network, shared["net"], features).scores(history, described.projected)
    if isinstance(part, Light):
        counts = np.maximum(shared[COUNTS], 1).astype(np.float32)
        table = graph.weights(shared[ITEMS].reshape(len(counts), -1))
        scale = graph.array(counts[:, None] ** -0.5)
        rows = table.rows(history.padded) * scale.rows(history.padded)
        # scores are standardised, so the length of a history changes nothing
        return history.weights([1.0]) @ rows @ table.turned(1, 0)
    if isinstance(part, Profile):
        return lift(graph, shared[MAP], shared[COUNTS], described)
    return None


def standardised(rows: Value, items: int) -> Value:
    """z-scores over all items, see `ops.blend`."""
    away = rows - rows.mean()
    return away / _deviation(away, items).at_least(_TINY)


def _deviation(away: Value, items: int) -> Value:
    return (away * away).sum(-1, keep=True).call("Sqrt") / math.sqrt(max(1, items - 1))


def _squashed(rows: Value, items: int, squash: Squash) -> Value:
    """See `ops.fusion.squashed`."""
    z = standardised(rows, items)
    length = z.call("Abs") + 1.0
    lighter = length.call("Log") if squash == "log" else (length.call("Sqrt") - 1.0) * 2.0
    return z.call("Sign") * lighter


class Cold:
    """Of whom little is known, see `on_device.cold_users`."""

    def __init__(
        self, part: ColdUsers, shared: State, history: History, described: Described
    ) -> None:
        """Takes the part and whom it is about."""
        self._part, self._shared = part, shared
        self._history, self._described = history, described

    def mixed(self, own: Value, fused: Value, prior: float) -> tuple[Value, Value]:
        """What the parts add, and the scores, where what others have is mixed in."""
        history, graph = self._history, self._history.graph
        known = history.count
        cold = known < graph.scalar(self._part.spec.latest + 1, np.int64)
        number = known.cast(1)
        share = number / (number + prior).at_least(1.0)
        others = self._others()
        if MAP in self._shared:
            others = others + lift(graph, self._shared[MAP], self._shared[COUNTS], self._described)
        items = history.items
        said = standardised(others, items) * (1.0 - share)
        away = fused - fused.mean()
        spread = _deviation(away, items).at_least(_TINY)
        score = away / spread * share + said
        added = (own - own.mean()) * share / spread
        return graph.where(cold, added, own), graph.where(cold, score, fused)

    def _others(self) -> Value:
        """See `ColdUsers._log_counts`, float ``[1, items]``."""
        graph, began = self._history.graph, self._shared[SUM]
        popular = np.log(self._shared[COUNTS] + SMOOTHING).astype(np.float32)
        if not len(began):
            return graph.array(popular[None])
        rows = np.log(began + SMOOTHING).astype(np.float32)
        if self._part.spec.basis == "popular":
            rows[0] = popular
        last = graph.scalar(len(rows) - 1, np.int64)
        return graph.weights(rows).rows(self._history.count.at_most(last).widen(0))


def _cold_items(part: ColdItems, shared: State, scores: Value, graph: Graph) -> Value:
    """See `ColdItems.finished`: two products, as the ridge is the same for all."""
    known, public = shared[COUNTS] > 0, shared[PUBLIC].astype(np.float64)
    if not known.any() or known.all():
        return scores
    given = public * known[:, None]
    gram = given.T @ given + part.spec.ridge * np.eye(given.shape[1])
    weights = graph.array(np.linalg.solve(gram, given.T).T.astype(np.float32))
    found = scores @ weights @ graph.array(public.T.astype(np.float32))
    return graph.where(graph.array(known[None]), scores, found)
