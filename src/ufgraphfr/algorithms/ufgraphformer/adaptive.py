"""How UFGraphFormer's settings follow from public facts of the data, where nobody sets them.

    rounds  = graph rounds + T,   T = min(PASSES x users / cohort, MOST_ROUNDS)
    lr      = HIGHEST_LR x sqrt(T / MOST_ROUNDS)
    dropout = .4 - .1 log2(interactions / (items x dim)), between .3 and .5

The server steps once a round, so rounds are what training costs, and a cohort is large enough for a
gradient and no larger. A small federation sees all its users `PASSES` times, a large one stops at
`MOST_ROUNDS`, whatever its size. Training begins at the graph's spectrum: the fewer its steps, the
smaller they are. Weights that few interactions speak of are dropped more often. What else there is
depends on one threshold each.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ufgraphfr.algorithms.ufgraphformer.graph.config import DENSE_PAIR_BYTES, GraphSpec
from ufgraphfr.core.derived import ASKED, COHORT, EVERY, ROUNDS, DataFacts, Derived
from ufgraphfr.ops.fusion import ROOT_FROM, squash_for

DIM, HIDDEN, LR = "algorithm.dim", "algorithm.hidden", "algorithm.adam.lr"
DROPOUT, CANDIDATES = "algorithm.training.dropout", "algorithm.training.candidates"
DENSE, TRANSFORMER = "algorithm.graph.dense_items", "algorithm.transformer"
LIGHTGCN, SQUASH = "algorithm.lightgcn", "algorithm.squash"
ABSENCE, HISTORY_LENGTH = "algorithm.absence", "algorithm.history_length"
OF_TRANSFORMER = frozenset({DIM, HIDDEN, LR, DROPOUT, CANDIDATES, LIGHTGCN})
KEYS = OF_TRANSFORMER | {COHORT, ROUNDS, EVERY, DENSE, SQUASH, ABSENCE, HISTORY_LENGTH}

LARGEST_COHORT = 64
PASSES = 20
MOST_ROUNDS = 2_000
HIGHEST_LR = 2e-3
NARROW, WIDE = 64, 128
WIDE_FROM = 500_000
"""Interactions."""
WHOLE_SOFTMAX = 2_000
"""Items."""
SAMPLED = 1_000
VALIDATIONS = 4
RANKED = 200_000_000
"""Scores of all validations together, but for the last."""


def rule(facts: DataFacts, given: Mapping[str, Any]) -> Iterator[Derived]:
    """What follows, key by key; see `capabilities.Adaptive.derive`."""
    known = dict(given)
    for key, follow in _ORDER.items():
        if key in OF_TRANSFORMER and not known[TRANSFORMER]:
            continue
        if key not in known and (derived := follow(_Rule(facts, known))) is not None:
            known[key], why = derived
            yield Derived(key, known[key], why)


Followed = tuple[Any, str] | None
"""A value, and why; None for a key of what is switched off."""


@dataclass(frozen=True)
class _Rule:
    """A method for each key: its value, from the facts and what is known by then."""

    facts: DataFacts
    known: Mapping[str, Any]

    def cohort(self) -> Followed:
        if self.facts.users <= LARGEST_COHORT:
            return max(1, self.facts.users), "all users"
        of = f"of {self.facts.users:,} users"
        return LARGEST_COHORT, f"{of}; more would say little more in one step of the server"

    def training(self) -> int:
        """Rounds of the Transformer."""
        cohort: float = self.known[COHORT]
        return min(math.ceil(PASSES * self.facts.users / cohort), MOST_ROUNDS)

    def rounds(self) -> Followed:
        graph = self.known.get("algorithm.graph.rounds", 0)
        if not self.known[TRANSFORMER]:
            return graph, f"{graph} of the item graph, and no Transformer to train"
        training = self.training()
        passes = training * self.known[COHORT] / self.facts.users
        why = f"{graph} of the item graph, then {passes:.3g} passes over {self.facts.users:,} users"
        if training == MOST_ROUNDS:
            why += f", which is at most {MOST_ROUNDS:,} rounds"
        return graph + training, why

    def every(self) -> Followed:
        scores = self.known.get(ASKED, self.facts.users) * self.facts.items
        times = max(1, min(VALIDATIONS, RANKED // scores))
        why = f"{times} validation(s), each ranking {scores:,} pairs of user and item"
        return math.ceil(self.known[ROUNDS] / times), why

    def dim(self) -> Followed:
        wide = self.facts.interactions >= WIDE_FROM
        why = f"{self.told()}; {WIDE} from {WIDE_FROM:,} on, {NARROW} below"
        return WIDE if wide else NARROW, why

    def hidden(self) -> Followed:
        return 2 * self.known[DIM], "twice dim"

    def lr(self) -> Followed:
        training = max(1, self.known[ROUNDS] - self.known.get("algorithm.graph.rounds", 0))
        lr = HIGHEST_LR * math.sqrt(min(1.0, training / MOST_ROUNDS))
        why = f"{training:,} steps of the server; {MOST_ROUNDS:,} have {HIGHEST_LR:g}"
        return round(lr, 5), why

    def dropout(self) -> Followed:
        numbers = self.facts.items * self.known[DIM]
        share = 0.4 - 0.1 * math.log2(max(1, self.facts.interactions) / numbers)
        why = f"{self.told()} for {numbers:,} numbers of item vectors"
        return round(min(0.5, max(0.3, share)), 1), why

    def candidates(self) -> Followed:
        value = None if self.facts.items <= WHOLE_SOFTMAX else SAMPLED
        return value, f"{self.facts.items:,} items; up to {WHOLE_SOFTMAX:,} the softmax has all"

    def lightgcn(self) -> Followed:
        if "algorithm.graph.rounds" not in self.known:
            return None
        graph = GraphSpec()
        told = (
            f"{self.facts.items:,} items; on up to {graph.dense_items:,}, larger ones not measured"
        )
        return graph.is_dense(self.facts.items), told

    def dense_items(self) -> Followed:
        if "algorithm.graph.rounds" not in self.known:
            return None
        graph = GraphSpec()
        form = "dense" if graph.is_dense(self.facts.items) else "sparse"
        size = f"{DENSE_PAIR_BYTES * self.facts.items**2 / 1e9:.1f} GB"
        return graph.dense_items, f"{self.facts.items:,} items have a {form} graph; {size} if dense"

    def squash(self) -> Followed:
        told = f"{self.facts.items:,} items; above {ROOT_FROM:,} the best stand out farther"
        return squash_for(self.facts.items), told

    def history_length(self) -> Followed:
        return True, "of whom little is known other parts tell more than of whom much is"

    def absence(self) -> Followed:
        if self.facts.dated:
            return True, "times are dates, so a device knows how long its user was away"
        return False, "no dates say how long a user was away"

    def told(self) -> str:
        assumed = f"{self.facts.per_user:g} a user assumed, " if self.facts.assumed else ""
        return f"{assumed}{self.facts.interactions:,} interactions"


_ORDER = {
    COHORT: _Rule.cohort,
    ROUNDS: _Rule.rounds,
    EVERY: _Rule.every,
    DIM: _Rule.dim,
    HIDDEN: _Rule.hidden,
    LIGHTGCN: _Rule.lightgcn,
    SQUASH: _Rule.squash,
    HISTORY_LENGTH: _Rule.history_length,
    ABSENCE: _Rule.absence,
    LR: _Rule.lr,
    DROPOUT: _Rule.dropout,
    CANDIDATES: _Rule.candidates,
    DENSE: _Rule.dense_items,
}
"""Each finds what it follows from; in the order of a run folder's file."""
