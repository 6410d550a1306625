"""Draws what `privacy.py` measured: utility by epsilon, a colour for each number of users.

    python benchmarks/scale/privacy_picture.py benchmarks/scale/results/privacy.jsonl \\
        docs/assets/privacy-at-scale.svg

With a trusted server. Lines are means over draws of noise, dashes the same form without noise, bars
a standard error over users on both sides; the dotted lines at the bottom are DP popularity.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from privacy import DP_POPULARITY, NOISED, UNNOISED

Line = dict[str, Any]

SERVER = "trusted"
COLOURS = ("#b3541e", "#1f5fbf", "#2b7a3d", "#6b3fa0")
STYLES: dict[str, dict[str, Any]] = {
    NOISED: {"ls": "-", "lw": 2, "marker": "o"},
    UNNOISED: {"ls": "--", "lw": 1},
    DP_POPULARITY: {"ls": ":", "lw": 1.2, "marker": "."},
}
GREY = "#666666"


def drawn(axes: Axes, lines: list[Line], users: int, model: str, colour: str) -> None:
    """One model's curve for one number of users; its id in the file says which."""
    own = [each for each in lines if (each["users"], each["model"]) == (users, model)]
    epsilons = sorted({each["epsilon"] for each in own})
    means, errors = (
        [statistics.mean(each[key] for each in own if each["epsilon"] == at) for at in epsilons]
        for key in ("ndcg@10", "standard_error")
    )
    style = {"color": colour, "ms": 4, "elinewidth": 4, **STYLES[model]}
    bars = axes.errorbar(epsilons, means, errors, **style)
    for ends in bars.lines[2]:
        ends.set_alpha(0.35)
    bars.lines[0].set_gid(f"{users} {model}".replace(" ", "-"))


def picture(lines: list[Line]) -> Figure:
    """Epsilons lie as far from each other as they are times another."""
    lines = [each for each in lines if each["server"] == SERVER]
    figure = Figure(figsize=(6.6, 3.8), layout="constrained")
    axes = figure.subplots()
    sizes = sorted({each["users"] for each in lines})
    for users, colour in zip(sizes, COLOURS, strict=False):
        for model in STYLES:
            drawn(axes, lines, users, model, colour)
        axes.plot([], [], color=colour, lw=2, label=f"{users:,} users")
    for model, style in STYLES.items():
        axes.plot([], [], color=GREY, label=model, **style)
    epsilons = sorted({each["epsilon"] for each in lines})
    axes.set_xscale("log", base=2)
    axes.set_xticks(epsilons, [f"{each:g}" for each in epsilons])
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#dddddd")
    axes.spines[["top", "right", "left"]].set_visible(False)
    items, asked = lines[0]["items"], lines[0]["asked"]
    axes.set_title(f"full NDCG@10 of {asked:,} users, {items:,} items", fontsize=11)
    axes.set_xlabel("epsilon (delta 1e-7)")
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


def main() -> None:
    """From lines to a file, the same for the same lines."""
    source, target = map(Path, sys.argv[1:])
    lines = [json.loads(line) for line in source.read_text().splitlines()]
    target.parent.mkdir(parents=True, exist_ok=True)
    # a white ground, on which its text is read on dark pages too
    with rc_context({"svg.hashsalt": "privacy", "svg.fonttype": "none"}):
        picture(lines).savefig(target, format="svg", facecolor="white", metadata={"Date": None})


if __name__ == "__main__":
    main()
