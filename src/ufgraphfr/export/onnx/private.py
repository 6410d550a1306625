"""UFGraphFormer under a privacy budget as nodes: the parts of `ufgraphformer.private.model`."""

import numpy as np
import torch
from onnx import TensorProto

from ufgraphfr.algorithms.ufgraphformer.graph.profile import LEAST
from ufgraphfr.algorithms.ufgraphformer.on_device.feature_head import DECAY, RIDGE
from ufgraphfr.algorithms.ufgraphformer.private.model import (
    TEXT_DECAY,
    TEXT_WEIGHT,
    PrivateForm,
)
from ufgraphfr.algorithms.ufgraphformer.private.plan import POPULARITY
from ufgraphfr.algorithms.ufgraphformer.private.profile import CONSTANT, PRIOR
from ufgraphfr.algorithms.ufgraphformer.private.public_items import (
    SHARPNESS,
    popularity_levels,
    text_links_sums,
)
from ufgraphfr.export.onnx.flagship import Scored, State, standardised
from ufgraphfr.export.onnx.graph import Array, Graph, Value
from ufgraphfr.export.onnx.head import preference
from ufgraphfr.export.onnx.history import History


def private_form(model: PrivateForm, shared: State, history: History, coordinates: Value) -> Scored:
    """The model's answer to one history and one profile; see `PrivateForm.score`."""
    graph, items, plan = history.graph, history.items, model.plan
    level = max(1.0, plan.std(POPULARITY))
    offset = np.log(np.maximum(shared["counts"], 0) + level).astype(np.float32)
    scores, name = graph.array(offset[None]), "popularity"
    if model.spec.head:
        levels = popularity_levels(torch.from_numpy(offset)).numpy()
        features, name = np.concatenate((shared["columns"], levels), 1), "features"
        weights = history.weights([DECAY])
        scores = scores + preference(graph, features, offset, history.padded, weights, RIDGE)
    if plan.directions:
        number = history.count.cast(TensorProto.FLOAT) + PRIOR
        scores = scores + _lift(graph, shared, coordinates, items) * (graph.scalar(PRIOR) / number)
    added = {name: standardised(scores, items)}
    if model.spec.head and shared["titles"].shape[1]:
        alike = _alike(shared["titles"], history)
        added["titles"] = standardised(alike, items) * TEXT_WEIGHT
    if plan.graph_items:
        weight = plan.graph_weight / len(plan.graph_views)
        rows = _linked(shared, history)
        for view, decay in plan.graph_views.items():
            linked = history.weights([decay]) @ rows
            added[view] = standardised(linked, items) * weight
    every = graph.cat(0, *added.values())
    total = every.sum(0, keep=True)
    return Scored(total, total, every, tuple(added))


def coordinates_of(graph: Graph, basis: Array, text: Value) -> Value:
    """See `private.profile.coordinates`, float ``[1, 1 + rank]``."""
    length = (text * text).sum(-1, keep=True).call("Sqrt").at_least(1e-12)
    own = text / length @ graph.array(basis[1:]) + graph.array(basis[:1])
    own = own / (own * own).sum(-1, keep=True).call("Sqrt").at_least(1.0)
    first = graph.array(np.full((1, 1), CONSTANT, np.float32))
    return graph.cat(1, first, own * (1 - CONSTANT**2) ** 0.5)


def _lift(graph: Graph, shared: State, coordinates: Value, items: int) -> Value:
    """See `private.profile.log_lift`; of items of which nothing is said it is zero."""
    mapped = np.zeros((len(shared["map"]), items), np.float32)
    mapped[:, shared["described"]] = shared["map"]
    return (coordinates @ graph.weights(mapped) + 1.0).at_least(LEAST).call("Log")


def _alike(titles: Array, history: History) -> Value:
    """See `public_items.text_similarity`, for the history's rows alone."""
    graph, each = history.graph, np.arange(history.items, dtype=np.int64)
    rows = graph.weights(titles)
    near = ((rows.rows(history.padded) @ rows.turned(1, 0) - 1.0) * SHARPNESS).call("Exp")
    itself = graph.op("Equal", history.padded.widen(1), graph.array(each))
    links = graph.where(itself, graph.scalar(0), near)
    root = text_links_sums(torch.from_numpy(titles)).sqrt().clamp(min=1e-12).numpy()
    return history.weights([TEXT_DECAY]) @ links / graph.array(root)


def _linked(shared: State, history: History) -> Value:
    """The history's rows of the noised graph, float ``[length + 1, items]``."""
    graph, kept, size = history.graph, shared["kept"], len(shared["kept"])
    # an item that the graph does not link has a row and a column of zeros, the last
    place = np.full(history.items, size)
    place[kept] = np.arange(size)
    table = np.zeros((size + 1, size + 1), np.float32)
    table[:size, :size] = shared["next"]
    places = graph.array(place)
    return graph.weights(table).rows(places.rows(history.padded)).rows(places, axis=1)
