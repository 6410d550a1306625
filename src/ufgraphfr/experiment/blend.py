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
from ufgraphfr.ops.absence import BENDS


def blend_of(experiment: Experiment, population: Population, memory: State) -> Any:
    """What a result says of a model's blend; None for a model without one."""
    model, setting = experiment.model, population.setting
    if not isinstance(model, Algorithm):
        return described(model.part_names(memory), memory, 0) if isinstance(model, Fused) else None
    used = model_in_use(experiment, setting)
    if not isinstance(used, Blended):
        return None
    return described(used.part_names(setting), memory, used.priors.shape[1])


def described(names: tuple[str, ...], memory: State, priors: int) -> dict[str, Any]:
    """Which kind of blend was chosen, and each part's coefficient and share of the spread.

    Where coefficients depend on how long a user was away, ``weight`` is that of a visit, and
    ``away`` those after each of `BENDS`.

    Args:
        names: of the parts.
        memory: of the model; without shares where no validation chose the blend.
        priors: how many numbers of the blend are not fitted.
    """
    blend = memory["blend"].cpu()
    fitted, rest = blend.split([len(blend) - priors, priors])
    added = fitted.view(-1, len(names))
    weights = added.cumsum(0).T.tolist()
    shares = memory[SHARES].tolist() if SHARES in memory else [None] * len(names)
    bends = list(BENDS)[1:] if len(added) > 1 else []
    parts = [
        {"part": part, "weight": own[0], "share": share}
        | ({"away": dict(zip(bends, own[1:], strict=True))} if bends else {})
        for part, own, share in zip(names, weights, shares, strict=True)
    ]
    return {"chosen": _kind(names, added), "parts": parts, "not_fitted": rest.tolist()}


def blend_rows(
    blend: dict[str, Any], dash: str = "-"
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Of what `described` gives, a table for people: its head, and a row for each part in use.

    The part that decides most of the order is first.
    """
    parts = blend["parts"]
    weights = {own["part"]: [own["weight"], *own.get("away", {}).values()] for own in parts}
    used = (own for own in parts if any(weights[own["part"]]))
    rows = [
        (
            own["part"],
            *(f"{weight:z.2f}" for weight in weights[own["part"]]),
            dash if own["share"] is None else f"{own['share']:z.0%}",
        )
        for own in sorted(used, key=lambda own: -(own["share"] or 0))
    ]
    bends = parts[0].get("away", {})
    if bends:
        return ("part", "visit", *bends, "share"), rows
    return ("part", "coefficient", "share of the score's spread"), rows


def _kind(names: tuple[str, ...], added: Tensor) -> str:
    """From the weights in a visit, and what is added after it."""
    if bool(added[1:].any()):
        return "fitted"
    weights = added[0]
    used = weights.nonzero()[:, 0]
    if len(used) == 1:
        return f"{names[int(used)]} alone"
    if not torch.equal(weights[used], weights[used][:1].expand(len(used))):
        return "fitted"
    return "all parts alike" if len(used) == len(names) else "some parts alike"
