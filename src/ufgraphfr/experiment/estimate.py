"""About how much memory and time the flagship takes, before it runs: a rule of thumb.

The item graph is held dense, six matrices of items times items in 32 bits, or above
``dense_items`` as lists of neighbours. The Transformer is held with its gradient and both moments.
CPU time is in proportion to the histories that a round trains on, 80 microseconds an item (one
thread; runs on MovieLens-1M and Last.fm-2K took 90 and 65), and to the dense graph's factorisation.
"""

from dataclasses import asdict, dataclass

from ufgraphfr.algorithms.ufgraphformer.graph.config import GraphSpec
from ufgraphfr.algorithms.ufgraphformer.sequence.config import SequenceSpec

_BYTES = 4
_DENSE_COPIES = 6
_SPARSE_COPIES = 4
_NEIGHBOUR_BYTES = 12
"""A 64-bit item and a 32-bit weight."""
_SECONDS_AN_ITEM = 80e-6
_OPERATIONS_A_SECOND = 5e10
_TRAINED_COPIES = 4
"""Weights, gradient and two moments."""
ROUNDS, COHORT = 100, 64
"""What the time is said for."""
LARGE = 2_000_000_000
"""Bytes of graph from which it is worth saying."""


@dataclass(frozen=True)
class Estimate:
    """Of one run of the flagship with its defaults.

    Attributes:
        graph: ``dense`` or ``sparse``.
        graph_bytes: of the item graph.
        transformer_bytes: of the Transformer in training.
        data_bytes: of histories and sampled candidates.
        rounds, cohort: that the time is for.
        cpu_seconds: of all clients and the server, without baselines and text encoding.
    """

    graph: str
    graph_bytes: int
    transformer_bytes: int
    data_bytes: int
    rounds: int
    cohort: int
    cpu_seconds: int

    @property
    def memory_bytes(self) -> int:
        """All of it."""
        return self.graph_bytes + self.transformer_bytes + self.data_bytes

    def facts(self) -> dict[str, str | int]:
        """As plain values."""
        return {**asdict(self), "memory_bytes": self.memory_bytes}


def estimate(users: int, items: int, interactions: int) -> Estimate:
    """What a run of the flagship with its defaults may take, perhaps a factor of three off.

    Args:
        users: how many there are.
        items: likewise.
        interactions: likewise.
    """
    graph, sequence = GraphSpec(), SequenceSpec()
    dense = items <= graph.dense_items
    neighbours = items * (graph.neighbors * _NEIGHBOUR_BYTES + graph.rank * _BYTES)
    width = sequence.dim
    block = 4 * width * width + 2 * width * sequence.hidden
    weights = (items + sequence.history) * width + sequence.blocks * block
    cohort = min(COHORT, users)
    own = min(interactions / users, sequence.history)
    seconds = ROUNDS * cohort * own * _SECONDS_AN_ITEM
    seconds += items**3 / _OPERATIONS_A_SECOND if dense else 0.0
    # two rankings against 99 candidates, and history, training rows and their order
    data = users * 2 * 99 * 8 + interactions * 3 * 8
    return Estimate(
        graph="dense" if dense else "sparse",
        graph_bytes=items * items * _BYTES * _DENSE_COPIES
        if dense
        else neighbours * _SPARSE_COPIES,
        transformer_bytes=weights * _BYTES * _TRAINED_COPIES,
        data_bytes=data,
        rounds=ROUNDS,
        cohort=cohort,
        cpu_seconds=round(seconds),
    )
