"""Which parts of the private form a budget affords, and why."""

import math
from dataclasses import dataclass

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.core.releases import Budget, Release

POPULARITY, GRAPH, PREFERENCE = "popularity", "graph", "preference"
TYPICAL = 40
"""Items: a client's part of popularity is as long as if it counted so many once, however many it
has. So clients with more items say less of each, and none leaves noise's room unused."""
LEAST_SIGNAL = 400.0
"""Clients over noise from which on the graph is worth its share of the budget."""
LEAST_ITEMS = 100
"""Of a graph."""
SIGNAL_PER_ITEM = 8.0
"""What one more item of the graph needs."""
_LEAST_SHARE = 0.01
"""Of the budget, that popularity keeps."""


@dataclass(frozen=True)
class Plan:
    """What the program works out from a budget and the hyper-parameters.

    Attributes:
        graph_items: the most popular items that the graph links, 0 for no graph.
        graph_share: of the budget.
        graph_weight: of the graph's scores relative to the head's.
        numbers: that a client may release at most, or None.
        signal: clients over the noise of a whole budget.
        noise: standard deviation of a release of length 1 that spends everything.
        history: last items of a client that count, for the rationale.
    """

    graph_items: int = 0
    graph_share: float = 0.0
    graph_weight: float = 0.0
    numbers: int | None = None
    signal: float = 0.0
    noise: float = 0.0
    history: int = 200

    @property
    def once(self) -> tuple[str, ...]:
        """The parts that everybody is asked for, once."""
        if self.numbers:
            return (PREFERENCE,)
        return (POPULARITY, GRAPH) if self.graph_items and self.graph_share else (POPULARITY,)

    @property
    def shares(self) -> dict[str, float]:
        """Of the budget, by part."""
        graph = self.graph_share if GRAPH in self.once else 0.0
        return {part: graph if part == GRAPH else 1 - graph for part in self.once}

    def std(self, part: str) -> float:
        """Standard deviation of the noise on one number of the sum of a part."""
        if part not in self.once:
            return 0.0
        return self.noise * _norm(part) / math.sqrt(self.shares[part])

    def releases(self) -> tuple[Release, ...]:
        """Each part once, in a round of its own."""
        return tuple(
            Release(part, number, number, _norm(part), self.shares[part])
            for number, part in enumerate(self.once, start=1)
        )

    def rationale(self) -> tuple[str, ...]:
        """Why this form was chosen for its budget, a line for each part."""
        ratio = f"{self.signal:,.0f} clients for each unit of noise"
        popularity = (
            f"popularity: the last {self.history} items of each user, at one length for all; "
            f"always affordable"
        )
        if self.numbers:
            popularity = (
                f"preference: the mean of {self.numbers} public features over each user's last "
                f"{self.history} items, from which popularity is inferred; no more can be sent"
            )
            graph = "graph: left out, it has too many numbers"
        elif not self.graph_items:
            graph = f"graph: left out, {ratio} are fewer than the {LEAST_SIGNAL:,.0f} it needs"
        else:
            graph = (
                f"graph: transitions among the {self.graph_items:,} most popular items, with "
                f"{self.shares[GRAPH]:.0%} of the budget: {ratio} carry one item for every "
                f"{SIGNAL_PER_ITEM:g}, at least {LEAST_ITEMS}"
            )
        return (
            popularity,
            graph,
            "head and propagation of the own history: on the device, free",
        )


def plan_for(spec: PrivateSpec, budget: Budget, setting: Setting) -> Plan:
    """The parts that a budget affords, for so many clients and items."""
    signal = budget.clients / budget.noise
    items, share = spec.graph_items, spec.graph_share
    if GRAPH in budget.shares:
        share = min(1 - _LEAST_SHARE, budget.shares[GRAPH])
    if items is None:
        affordable = max(LEAST_ITEMS, round(signal / SIGNAL_PER_ITEM))
        items = affordable if signal >= LEAST_SIGNAL and budget.most is None else 0
    share = 1 - min(0.75, max(0.1, 350 / signal)) if share is None else share
    # public: noise falls as 1 / signal, and so the best weight grows with its root
    weight = 0.4 * math.sqrt(signal * math.sqrt(share) / 1e4)
    return Plan(
        graph_items=min(setting.items, items),
        graph_share=share,
        graph_weight=weight if spec.graph_weight is None else spec.graph_weight,
        numbers=budget.most,
        signal=signal,
        noise=budget.noise,
        history=spec.history,
    )


def _norm(part: str) -> float:
    """L2 length of a client's contribution to a part."""
    return math.sqrt(TYPICAL) if part == POPULARITY else 1.0
