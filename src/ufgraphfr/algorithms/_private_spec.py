"""What the private form of UFGraphFormer is made of, and which of it a budget affords."""

import math
from abc import ABC
from typing import ClassVar, Self

from pydantic import Field

from ufgraphfr.algorithms._private_transformer import PrivateTransformer
from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.messages import Aggregation
from ufgraphfr.core.releases import Budget, Release

POPULARITY, GRAPH, TASTE, TRANSFORMER = "popularity", "graph", "taste", "transformer"
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


class PrivateSpec(Algorithm, ABC):
    """Hyper-parameters of the private form; the ``[algorithm.private]`` table."""

    kind: ClassVar[str] = "ufgraphformer"
    aggregation: ClassVar[Aggregation] = Aggregation.SUM

    counted: int = Field(200, ge=1)
    """Last items of a client that popularity counts, evenly, and at one length for all clients."""
    places: int = Field(200, ge=2)
    """Last items of a client that the graph sees."""
    gaps: int = Field(8, ge=1)
    """The farthest distance between two items that counts as a transition."""
    graph_items: int | None = Field(None, ge=0)
    """The most popular items that the graph links, 0 for no graph; None lets the budget decide."""
    graph_share: float | None = Field(None, gt=0, lt=1)
    """Of what the Transformer leaves of the budget; None lets the budget decide."""
    graph_weight: float | None = Field(None, ge=0)
    """Of the graph's scores relative to the head's; None lets the budget decide."""
    threshold: float = Field(0.5, ge=0)
    """Standard deviations of noise that every transition is lowered by."""
    shrink: float = Field(20.0, ge=0)
    """Pulls transitions between rare items to zero."""
    graph_decay: float = Field(0.8, gt=0, le=1)
    """Weight of a history item relative to the next one, on the graph."""
    transformer: PrivateTransformer | bool | None = None
    """Whether there is a Transformer, with which settings; None lets the budget decide."""
    head: bool = True
    """Whether devices fit their own taste; without it and the graph, DP popularity is left."""
    ridge: float = Field(1.0, gt=0)
    """Pulls a taste to none."""
    akin: float = Field(0.05, ge=0)
    """Weight of the items whose texts are like the history's, relative to the taste."""
    decay: float = Field(0.9, gt=0, le=1)
    """Weight of a history item relative to the next one, in the taste."""
    numbers: int | None = Field(None, ge=1)
    """That a client may release at most; set by the budget."""
    signal: float = Field(0.0, ge=0)
    """Clients over the noise of a whole budget; set by the budget."""
    noise: float = Field(0.0, ge=0)
    """Standard deviation of a release of length 1 that spends everything; set by the budget."""
    why_transformer: str = ""
    """Why there is a Transformer or none; set by the budget."""

    @property
    def sequence(self) -> PrivateTransformer | None:
        """The Transformer, if there is one."""
        if self.transformer is True:
            return PrivateTransformer()
        return self.transformer or None

    @property
    def once(self) -> tuple[str, ...]:
        """The parts that everybody is asked for, once."""
        if self.numbers:
            return (TASTE,)
        return (POPULARITY, GRAPH) if self.graph_items and self.graph_share else (POPULARITY,)

    @property
    def shares(self) -> dict[str, float]:
        """Of the budget, by part."""
        trained = self.sequence.share if self.sequence else 0.0
        graph = (1 - trained) * (self.graph_share or 0.0) if GRAPH in self.once else 0.0
        found = {part: graph if part == GRAPH else 1 - trained - graph for part in self.once}
        return found | ({TRANSFORMER: trained} if self.sequence else {})

    def chosen(self, budget: Budget, setting: Setting) -> Self:
        """The parts that a budget affords, for so many clients and items."""
        whole = budget.clients / budget.noise
        sequence, why = self._sequence(whole, budget, setting)
        left = 1 - (sequence.share if sequence else 0.0)
        signal = whole * math.sqrt(left)
        items, share = self.graph_items, self.graph_share
        if GRAPH in budget.shares:
            share = min(1 - _LEAST_SHARE, budget.shares[GRAPH] / left)
        if items is None:
            affordable = max(LEAST_ITEMS, round(signal / SIGNAL_PER_ITEM))
            items = affordable if signal >= LEAST_SIGNAL and budget.most is None else 0
        share = 1 - min(0.75, max(0.1, 350 / signal)) if share is None else share
        # of the graph: .1 where it has just become affordable, .2 where it is clear
        weight = 0.2 * min(1.0, signal * math.sqrt(share) / 1e4) ** (1 / 3)
        found = {
            "graph_items": min(setting.items, items),
            "graph_share": share,
            "graph_weight": weight if self.graph_weight is None else self.graph_weight,
            "transformer": sequence or False,
            "numbers": budget.most,
            "signal": whole,
            "noise": budget.noise,
            "why_transformer": why,
        }
        return self.model_copy(update=found)

    def _sequence(
        self, signal: float, budget: Budget, setting: Setting
    ) -> tuple[PrivateTransformer | None, str]:
        """The Transformer, if it was asked for or is affordable, and why."""
        if budget.most is not None:
            return None, "left out, it has too many numbers"
        asked = self.sequence
        found = asked or PrivateTransformer()
        if TRANSFORMER in budget.shares:
            found = found.model_copy(update={"share": budget.shares[TRANSFORMER]})
        least = found.least_signal(setting)
        cost = (
            f"{found.rounds} rounds on {found.trained(setting):,} weights with "
            f"{found.share:.0%} of the budget want {least:,.0f} clients for each unit of noise"
        )
        if asked is not None:
            return found, f"asked for; {cost}, here are {signal:,.0f}"
        if self.transformer is False:
            return None, "left out, as was asked"
        if signal < least:
            return None, f"left out: {cost}, here are {signal:,.0f}"
        return found, f"affordable: {cost}, here are {signal:,.0f}"

    def rationale(self) -> tuple[str, ...]:
        """See `Algorithm.rationale`."""
        ratio = f"{self.signal:,.0f} clients for each unit of noise"
        popularity = (
            f"popularity: the last {self.counted} items of each user, at one length for all; "
            f"always affordable"
        )
        if self.numbers:
            popularity = (
                f"taste: the mean of {self.numbers} public features over each user's last "
                f"{self.counted} items, from which popularity is inferred; no more can be sent"
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
            f"Transformer: {self.why_transformer}",
        )

    def releases(self, rounds: int) -> tuple[Release, ...]:
        """See `Algorithm.releases`: some parts once, then the Transformer's rounds."""
        norms = {POPULARITY: math.sqrt(TYPICAL), GRAPH: 1.0, TASTE: 1.0}
        shares, count = self.shares, len(self.once)
        found = [
            Release(part, place, place, norms[part], shares[part])
            for place, part in enumerate(self.once, start=1)
        ]
        if own := self.sequence:
            last = count + own.rounds
            found.append(Release(TRANSFORMER, count + 1, last, own.clip, own.share))
        return tuple(found)

    def asks_all_clients(self, round_number: int) -> bool:
        """See `Algorithm.asks_all_clients`: what is sent once is asked of everybody."""
        return round_number <= len(self.once)

    def std(self, part: str) -> float:
        """Standard deviation of the noise on one number of the sum of a part that is sent once."""
        norm = math.sqrt(TYPICAL) if part == POPULARITY else 1.0
        return self.noise * norm / math.sqrt(self.shares[part]) if part in self.once else 0.0
