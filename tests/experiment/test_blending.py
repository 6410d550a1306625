"""Blend weights are those under which validation items rank best."""

import torch

from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.evaluation.metrics import SELECTED_BY
from ufgraphfr.evaluation.protocol import evaluate, inputs, scored
from ufgraphfr.experiment.blending import with_best_blend
from ufgraphfr.experiment.config import build
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.scoring import device_score

DATA = {"kind": "synthetic", "users": 60, "items": 40, "groups": 4, "interactions": 8}


def test_the_best_of_all_choices_is_taken() -> None:
    experiment = build({"data": DATA, "text": {"kind": "hashing", "width": 8}})
    prepared = prepare(experiment)
    model = UFGraphFormer(dim=8, hidden=8, history=5, graph={"rounds": 1})
    store = PrivateState(model.init_private(prepared.setting, prepared.batch))
    state = model.init_server(prepared.setting)
    sums = model.graph.contribution(prepared.batch, 1)
    state = model.graph.collected(state, sums, 1)
    chosen = with_best_blend(model, state, store, prepared, 1, chunk=7)
    assert {k: v for k, v in chosen.items() if k != "blend"}.keys() == state.keys() - {"blend"}

    def validation(blend: torch.Tensor) -> float:
        score = device_score(model, state | {"blend": blend}, store, 1)
        clients = inputs(prepared.batch, prepared.split, "validation")
        outcome = evaluate(scored(score, clients), prepared.split, "validation")
        return outcome.metrics["full"][SELECTED_BY]

    gains = torch.tensor([validation(blend) for blend in model.blends()])
    assert gains.max() > gains.min()
    assert validation(chosen["blend"]) == gains.max()
