"""A finished run as an ONNX file: who can be exported, what the file says of itself."""

import base64
import json
from collections.abc import Sequence

import onnx
import torch
from onnx import TensorProto

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.private.model import PrivateForm
from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.export.onnx.flagship import State, flagship
from ufgraphfr.export.onnx.graph import Graph, Value
from ufgraphfr.export.onnx.history import History
from ufgraphfr.export.onnx.private import coordinates_of, private_form
from ufgraphfr.export.onnx.profile import Described, from_sentence, from_vector
from ufgraphfr.text import embed


def exported(
    run: Run, prepared: PreparedExperiment, *, int8: bool = False, sentences: bool = False
) -> onnx.ModelProto:
    """The model of a run as an ONNX graph.

    Args:
        run: a finished run.
        prepared: its data.
        int8: whether weights are stored as int8.
        sentences: whether a profile is given as what was worked out of its sentence, and not as
            the sentence's vector; see `profile.Described`.

    Raises:
        InputError: its algorithm has no such form.
    """
    model, shared = exportable(run, prepared)
    setting, graph = prepared.setting, Graph(int8)
    history = History(graph, setting.items, setting.sequential)
    if isinstance(model, PrivateForm):
        coordinates = _coordinates(graph, setting.text_width, shared, sentences)
        found = private_form(model, shared, history, coordinates)
    else:
        described = _described(graph, setting.text_width, shared, sentences)
        found = flagship(model, model.part_names(setting), shared, history, described)
    outputs: dict[str, tuple[Value, Sequence[int | str]]] = {
        "scores": (found.scores.shaped(-1), [setting.items]),
        "from_history": (found.from_history.shaped(-1), [setting.items]),
        "added": (found.added, [len(found.names), setting.items]),
    }
    return graph.model(outputs, _facts(run, prepared, found.names))


def exportable(run: Run, prepared: PreparedExperiment) -> tuple[UFGraphFormer | PrivateForm, State]:
    """The algorithm of a run, and what a device needs to rank.

    Raises:
        InputError: it has no form that other programs run.
    """
    kind, used = run.experiment.model.kind, run.experiment.model
    if isinstance(used, Algorithm):
        used = model_in_use(run.experiment, prepared.setting)
    if not isinstance(used, UFGraphFormer | PrivateForm):
        raise InputError(
            f"'{kind}' cannot be exported as a program of its own, 'ufgraphformer' can: write its "
            f"lists with --format predictions"
        )
    checkpoint = run.checkpoint
    nobody = torch.zeros(0, dtype=torch.long)
    task = used.scoring_task(checkpoint.server, nobody, checkpoint.round + 1)
    return used, {name: value.numpy() for name, value in task.shared.items()}


def _described(graph: Graph, width: int, shared: State, sentences: bool) -> Described:
    projection = shared.get("projection")
    if sentences:
        projected = width if projection is None else projection.shape[1]
        return from_sentence(graph, width, projected)
    return from_vector(graph, width, projection)


def _coordinates(graph: Graph, width: int, shared: State, sentences: bool) -> Value:
    basis = shared["directions"]
    if sentences:
        return graph.input("coordinates", TensorProto.FLOAT, [1 + basis.shape[1]]).widen(0)
    text = graph.input("profile", TensorProto.FLOAT, [width]).widen(0)
    return coordinates_of(graph, basis, text)


def _facts(run: Run, prepared: PreparedExperiment, names: Sequence[str]) -> dict[str, str]:
    """What a program without this package needs to know.

    ``nobody`` is the vector of the sentence about one of whom nothing is known, base64 of float32.
    """
    catalogue = prepared.dataset.catalogue
    (nobody,) = embed(run.experiment.encoder, [prepared.dataset.untrained.unknown])
    return {
        "items": json.dumps(catalogue.items),
        "titles": json.dumps(catalogue.titles),
        "parts": json.dumps(names),
        "nobody": base64.b64encode(nobody.astype("<f4").tobytes()).decode(),
        "guarantee": run.guarantee,
    }
