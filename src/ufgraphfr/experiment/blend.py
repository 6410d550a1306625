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
from ufgraphfr.ops.bends import LONG, SHORT, TIMES, bend_with, bends


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

    Where coefficients bend, ``weight`` is that of a short history in a visit, ``long`` of a long
    one, and ``away`` those of a short one after each of `ops.bends.TIMES`.

    Args:
        names: of the parts.
        memory: of the model; without shares where no validation chose the blend.
        priors: how many numbers of the blend are not fitted.
    """
    blend = memory["blend"].cpu()
    fitted, rest = blend.split([len(blend) - priors, priors])
    added = fitted.view(-1, len(names))
    shares = memory[SHARES].tolist() if SHARES in memory else [None] * len(names)
    history_length, absence = bend_with(len(added))
    times = dict(list(TIMES.items())[1:])
    counts = torch.tensor([SHORT, LONG] + [SHORT] * len(times))
    weights = bends(len(added), counts, torch.tensor([0, 0, *times.values()])) @ added
    parts = [
        {"part": part, "weight": weight, "share": share}
        | ({"long": long} if history_length else {})
        | ({"away": dict(zip(times, away, strict=True))} if absence else {})
        for part, share, (weight, long, *away) in zip(
            names, shares, weights.T.tolist(), strict=True
        )
    ]
    return {"chosen": _kind(names, added), "parts": parts, "not_fitted": rest.tolist()}


def blend_rows(
    blend: dict[str, Any], dash: str = "-"
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Of what `described` gives, a table for people: its head, and a row for each part in use.

    The part that decides most of the order is first.
    """
    parts = sorted(blend["parts"], key=lambda own: -(own["share"] or 0))
    rows = [
        (
            own["part"],
            *(f"{weight:z.2f}" for weight in _columns(own).values()),
            dash if own["share"] is None else f"{own['share']:z.0%}",
        )
        for own in parts
        if any(_columns(own).values())
    ]
    names = [*_columns(parts[0])]
    if len(names) == 1:
        return ("part", "coefficient", "share of the score's spread"), rows
    return ("part", *names, "share"), rows


def _columns(part: dict[str, Any]) -> dict[str, float]:
    """A part's coefficients, by what they bend with."""
    long, away = part.get("long"), part.get("away", {})
    first = "visit" if away else "short history"
    return {first: part["weight"], **away} | ({} if long is None else {"long history": long})


def _kind(names: tuple[str, ...], added: Tensor) -> str:
    """From the weights of a short history in a visit, and what is added to them."""
    if bool(added[1:].any()):
        return "fitted"
    weights = added[0]
    used = weights.nonzero()[:, 0]
    if len(used) == 1:
        return f"{names[int(used)]} alone"
    if not torch.equal(weights[used], weights[used][:1].expand(len(used))):
        return "fitted"
    return "all parts alike" if len(used) == len(names) else "some parts alike"
