"""Which parts of the private form a budget affords, and why."""

import math
from dataclasses import dataclass

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.core.releases import Budget, Release

POPULARITY, GRAPH, PROFILE, PREFERENCE = "popularity", "graph", "profile", "preference"
TYPICAL = 40
"""Items: a client's part of popularity is as long as if it counted so many once, however many it
has. So clients with more items say less of each, and none leaves noise's room unused."""
LEAST_SIGNAL = 400.0
"""Clients over noise from which on the graph is worth its share of the budget."""
LEAST_ITEMS = 100
"""Of a graph."""
SIGNAL_PER_ITEM = 8.0
"""What one more item of the graph needs."""
SIGNAL_PER_DIRECTION = 600.0
"""What one more direction of the profiles' sentences needs; fewer than two are not worth it."""
MOST_DIRECTIONS = 16
PROFILE_SHARE, MORE_PROFILE = 0.1, 0.15
"""Of the budget, for the profile, and where there is `PLENTY`: what graph and popularity lose by
it is little."""
PLENTY = 5000.0
"""Clients over noise."""
GRAPH_DECAYS = 0.5, 0.9
"""Weights of a history item relative to the next one, on the graph: of the last few, and of some
twenty; each is a view of the same noised sum."""
PAIRS = {"pairs": 1.0}
"""Where there is no order: one view, which forgets nothing."""
_LEAST_SHARE = 0.01
"""Of the budget, that popularity keeps."""


@dataclass(frozen=True)
class Plan:
    """What the program works out from a budget and the hyper-parameters.

    Attributes:
        graph_items: the most popular items that the graph links, 0 for no graph.
        graph_share: of the budget.
        graph_weight: of the graph's scores relative to the head's.
        directions: of the profiles' sentences, 0 for no profile.
        profile_share: of the budget.
        numbers: that a client may release at most, or None.
        signal: clients over the noise of a whole budget.
        noise: standard deviation of a release of length 1 that spends everything.
        history: last items of a client that count, for the rationale.
        declared: whether the values of profiles are declared, for the rationale.
        ordered: whether the order of a history means something.
    """

    graph_items: int = 0
    graph_share: float = 0.0
    graph_weight: float = 0.0
    directions: int = 0
    profile_share: float = 0.0
    numbers: int | None = None
    signal: float = 0.0
    noise: float = 0.0
    history: int = 200
    declared: bool = False
    ordered: bool = True

    @property
    def graph_views(self) -> dict[str, float]:
        """How histories are weighted on the graph, by view."""
        return {f"next {decay:g}": decay for decay in GRAPH_DECAYS} if self.ordered else PAIRS

    @property
    def once(self) -> tuple[str, ...]:
        """The parts that everybody is asked for, once."""
        if self.numbers:
            return (PREFERENCE,)
        graph = (GRAPH,) if self.graph_items and self.graph_share else ()
        return (POPULARITY, *graph, *((PROFILE,) if self.directions else ()))

    @property
    def shares(self) -> dict[str, float]:
        """Of the budget, by part."""
        known = {GRAPH: self.graph_share, PROFILE: self.profile_share}
        shares = {part: known[part] for part in self.once[1:]}
        return {self.once[0]: 1 - sum(shares.values()), **shares}

    def part(self, round_number: int) -> str | None:
        """The part that a round asks for, if any."""
        return self.once[round_number - 1] if round_number <= len(self.once) else None

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
                f"graph: {'transitions' if self.ordered else 'pairs'} among the "
                f"{self.graph_items:,} most popular items, with "
                f"{self.shares[GRAPH]:.0%} of the budget: {ratio} carry one item for every "
                f"{SIGNAL_PER_ITEM:g}, at least {LEAST_ITEMS}"
            )
        return (
            popularity,
            graph,
            self._profile_rationale(ratio),
            "head and propagation of the own history: on the device, free",
        )

    def _profile_rationale(self, ratio: str) -> str:
        if self.directions:
            return (
                f"profile: {self.directions} directions of the declared profiles' sentences, with "
                f"{self.shares[PROFILE]:.0%} of the budget: one for every "
                f"{SIGNAL_PER_DIRECTION:g} clients for each unit of noise, at most "
                f"{MOST_DIRECTIONS}"
            )
        if not self.declared:
            return (
                "profile: left out, as nobody declared which values profiles may take "
                "([data] profile_values)"
            )
        if self.numbers or self.signal >= 2 * SIGNAL_PER_DIRECTION:
            return "profile: left out, it has too many numbers or no share"
        return (
            f"profile: left out, {ratio} are fewer than the {2 * SIGNAL_PER_DIRECTION:,.0f} it "
            f"needs"
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
    directions, profile_share = _profile(spec, budget, setting, signal)
    if share is None:
        share = (1 - min(0.75, max(0.1, 350 / signal))) * (1 - profile_share)
    if directions:
        share = min(share, 1 - _LEAST_SHARE - profile_share)
    # public: noise falls as 1 / signal, and so the best weight grows with its root
    weight = 0.4 * math.sqrt(signal * math.sqrt(share) / 1e4)
    return Plan(
        graph_items=min(setting.items, items),
        graph_share=share,
        graph_weight=weight if spec.graph_weight is None else spec.graph_weight,
        directions=directions,
        profile_share=profile_share,
        numbers=budget.most,
        signal=signal,
        noise=budget.noise,
        history=spec.history,
        declared=setting.profiles is not None,
        ordered=setting.sequential,
    )


def _profile(
    spec: PrivateSpec, budget: Budget, setting: Setting, signal: float
) -> tuple[int, float]:
    """How many directions the profile has, and its share of the budget; 0 of both for none."""
    share = budget.shares.get(PROFILE, spec.profile_share)
    if share is None:
        share = MORE_PROFILE if signal >= PLENTY else PROFILE_SHARE
    share = min(1 - _LEAST_SHARE, share)
    affordable = min(MOST_DIRECTIONS, int(signal / SIGNAL_PER_DIRECTION))
    if setting.profiles is None or budget.most is not None or affordable < 2 or not share:
        return 0, 0.0
    directions = min(affordable, len(setting.profiles) - 1)
    return directions, share if directions else 0.0


def _norm(part: str) -> float:
    """L2 length of a client's contribution to a part."""
    return math.sqrt(TYPICAL) if part == POPULARITY else 1.0
