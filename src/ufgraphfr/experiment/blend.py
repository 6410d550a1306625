"""The coefficients of a fused model, as a result tells them."""

from typing import Any

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import Blended
from ufgraphfr.baselines.base import Fused
from ufgraphfr.core.messages import State
from ufgraphfr.evaluation.fusion import SHARES
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.population import Population
from ufgraphfr.experiment.privacy_plan import model_in_use


def blend_of(experiment: Experiment, population: Population, memory: State) -> Any:
    """What a result says of a model's blend; None for a model without one."""
    model, setting = experiment.model, population.setting
    if not isinstance(model, Algorithm):
        return described(model.part_names(memory), memory) if isinstance(model, Fused) else None
    used = model_in_use(experiment, setting)
    return described(used.part_names(setting), memory) if isinstance(used, Blended) else None


def described(names: tuple[str, ...], memory: State) -> dict[str, Any]:
    """Which kind of blend was chosen, and each part's coefficient and share of the spread.

    Args:
        names: of the parts.
        memory: of the model; without shares where no validation chose the blend.
    """
    weights, rest = memory["blend"].cpu().split([len(names), len(memory["blend"]) - len(names)])
    shares = memory[SHARES].tolist() if SHARES in memory else [None] * len(names)
    each = zip(names, weights.tolist(), shares, strict=True)
    return {
        "chosen": _kind(names, weights),
        "parts": [{"part": part, "weight": own, "share": share} for part, own, share in each],
        "not_fitted": rest.tolist(),
    }


def _kind(names: tuple[str, ...], weights: Tensor) -> str:
    used = weights.nonzero()[:, 0]
    if len(used) == 1:
        return f"{names[int(used)]} alone"
    if not torch.equal(weights[used], weights[used][:1].expand(len(used))):
        return "fitted"
    return "all parts alike" if len(used) == len(names) else "some parts alike"
