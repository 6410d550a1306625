"""How UFGraphFormer's settings follow from public facts of the data, where nobody sets them.

    rounds = graph rounds + min(PASSES x users / cohort, MOST_ROUNDS)

The server steps once a round, so rounds are what training costs, and a cohort is large enough for a
gradient and no larger. A small federation sees all its users `PASSES` times, a large one stops at
`MOST_ROUNDS`, whatever its size.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ufgraphfr.core.derived import DataFacts, Derived

COHORT, ROUNDS, EVERY = "federation.cohort", "federation.rounds", "evaluation.every"
KEYS = frozenset({COHORT, ROUNDS, EVERY})
LARGEST_COHORT = 64
PASSES = 20
MOST_ROUNDS = 2_000
VALIDATIONS = 4


def rule(facts: DataFacts, given: Mapping[str, Any]) -> Iterator[Derived]:
    """What follows, key by key; see `capabilities.Adaptive.derive`."""
    cohort = given.get(COHORT)
    if cohort is None:
        cohort = max(1, min(LARGEST_COHORT, facts.users))
        of = f"of {facts.users:,} users" if cohort < facts.users else "all users"
        yield Derived(COHORT, cohort, f"{of}; more say little more in one step of the server")
    rounds = given.get(ROUNDS)
    if rounds is None:
        rounds, why = _rounds(facts.users, cohort, given)
        yield Derived(ROUNDS, rounds, why)
    if EVERY not in given:
        every = math.ceil(rounds / VALIDATIONS)
        yield Derived(EVERY, every, f"{VALIDATIONS} validations in {rounds:,} rounds")


def _rounds(users: int, cohort: float, given: Mapping[str, Any]) -> tuple[int, str]:
    graph = given.get("algorithm.graph.rounds", 0)
    if not given["algorithm.transformer"]:
        return graph, f"{graph} of the item graph, and no Transformer to train"
    wanted = math.ceil(PASSES * users / cohort)
    training = min(wanted, MOST_ROUNDS)
    passes = training * cohort / users
    why = f"{graph} of the item graph, then {passes:.3g} passes over {users:,} users"
    if training < wanted:
        why += f" instead of {PASSES}: no more than {MOST_ROUNDS:,}"
    return graph + training, why
