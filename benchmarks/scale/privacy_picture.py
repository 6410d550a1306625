"""Draws what `privacy.py` measured: utility by epsilon, a colour for each number of users.

    python benchmarks/scale/privacy_picture.py benchmarks/scale/results/privacy.jsonl \\
        docs/assets/privacy-at-scale.svg

With a trusted server. Lines are means over draws of noise, dashes the same form without noise, bars
a standard error over users on both sides; the lowest lines are DP popularity.
"""

import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

from privacy import DP_POPULARITY, NOISED, UNNOISED

Line = dict[str, Any]
Curve = list[tuple[float, float, float]]

SERVER = "trusted"
COLOURS = ("#b3541e", "#1f5fbf", "#2b7a3d", "#6b3fa0")
LEFT, RIGHT, TOP, BOTTOM = 60, 560, 40, 290


def curve(lines: list[Line], users: int, model: str) -> Curve:
    """Epsilon, mean NDCG@10 and its standard error over users."""
    own = [each for each in lines if (each["users"], each["model"]) == (users, model)]
    found = []
    for epsilon in sorted({each["epsilon"] for each in own}):
        here = [each for each in own if each["epsilon"] == epsilon]
        means = [
            statistics.mean(each[key] for each in here) for key in ("ndcg@10", "standard_error")
        ]
        found.append((epsilon, means[0], means[1]))
    return found


class Plane:
    """Where values lie: a step to the right for each epsilon, from 0 upwards."""

    def __init__(self, epsilons: list[float], most: float) -> None:
        """For these epsilons, and values up to this."""
        step = (RIGHT - LEFT - 80) / max(1, len(epsilons) - 1)
        self.across = {epsilon: LEFT + 20 + step * place for place, epsilon in enumerate(epsilons)}
        self.most = most

    def down(self, value: float) -> float:
        """The height of a value."""
        return BOTTOM - (BOTTOM - TOP) * value / self.most

    def grid(self) -> list[str]:
        """Axes and their numbers."""
        found = []
        for number in range(round(10 * self.most) + 1):
            value = number / 10
            y = self.down(value)
            found.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="#ddd"/>')
            at = f'x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end"'
            found.append(f"<text {at}>{value:.1f}</text>")
        for epsilon, x in self.across.items():
            at = f'x="{x:.1f}" y="{BOTTOM + 20}" text-anchor="middle"'
            found.append(f"<text {at}>{epsilon:g}</text>")
        middle = f'x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 40}" text-anchor="middle"'
        return [*found, f"<text {middle}>epsilon</text>"]

    def drawn(self, points: Curve, colour: str, style: str) -> list[str]:
        """A line with a bar at each point."""
        corners = " ".join(f"{self.across[at]:.1f},{self.down(mean):.1f}" for at, mean, _ in points)
        found = [f'<polyline points="{corners}" fill="none" stroke="{colour}" {style}/>']
        for at, mean, error in points:
            ends = f"{self.down(mean - error):.1f}V{self.down(mean + error):.1f}"
            path = f"M{self.across[at]:.1f} {ends}"
            found.append(f'<path d="{path}" stroke="{colour}" stroke-width="4" opacity=".4"/>')
            place = f'cx="{self.across[at]:.1f}" cy="{self.down(mean):.1f}"'
            found.append(f'<circle {place} r="2.5" fill="{colour}"/>')
        return found


def picture(lines: list[Line]) -> str:
    """The SVG."""
    lines = [each for each in lines if each["server"] == SERVER]
    sizes = sorted({each["users"] for each in lines})
    most = math.ceil(10 * max(each["ndcg@10"] for each in lines) + 0.3) / 10
    plane = Plane(sorted({each["epsilon"] for each in lines}), most)
    items, asked = lines[0]["items"], lines[0]["asked"]
    title = f"full NDCG@10 of {asked:,} users, {items:,} items, by epsilon (delta 1e-7)"
    found = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 340" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="620" height="340" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{title}</text>',
        *plane.grid(),
    ]
    for row, (users, colour) in enumerate(zip(sizes, COLOURS, strict=False)):
        found += plane.drawn(curve(lines, users, UNNOISED), colour, 'stroke-dasharray="5 4"')
        found += plane.drawn(curve(lines, users, NOISED), colour, 'stroke-width="2"')
        found += plane.drawn(curve(lines, users, DP_POPULARITY), colour, 'stroke-width="1"')
        place = f'x="{RIGHT - 170}" y="{BOTTOM - 90 + 16 * row}" fill="{colour}"'
        found.append(f"<text {place}>{users:,} users</text>")
    told = f'x="{RIGHT - 170}" y="{BOTTOM - 86 + 16 * len(sizes)}" fill="#666"'
    found.append(f"<text {told}>dashed: without noise</text>")
    found.append(f'<text x="{LEFT + 20}" y="{plane.down(0) - 16:.1f}">DP popularity</text>')
    return "\n".join((*found, "</svg>", ""))


def main() -> None:
    """From lines to a file."""
    source, target = map(Path, sys.argv[1:])
    lines = [json.loads(line) for line in source.read_text().splitlines()]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(picture(lines))


if __name__ == "__main__":
    main()
