"""About how much memory and time the flagship takes, before it runs: a rule of thumb.

The item graph is held dense, six matrices of items times items in 32 bits, or above
``dense_items`` as lists of neighbours. The Transformer, and a LightGCN's item vectors beside
it, are held with their gradient and both moments.
CPU time is in proportion to the histories that a round trains on, 80 microseconds an item (one
thread; runs on MovieLens-1M and Last.fm-2K took 90 and 65), and to the dense graph's factorisation.
"""

from dataclasses import asdict, dataclass
from typing import Any

from ufgraphfr.algorithms.ufgraphformer.graph.config import DENSE_PAIR_BYTES, GraphSpec
from ufgraphfr.algorithms.ufgraphformer.sequence.config import SequenceSpec
from ufgraphfr.core.derived import COHORT, ROUNDS, DataFacts
from ufgraphfr.experiment.derive import flagship_settings

_BYTES = 4
_SPARSE_COPIES = 4
_NEIGHBOUR_BYTES = 12
"""A 64-bit item and a 32-bit weight."""
_SECONDS_AN_ITEM = 80e-6
_OPERATIONS_A_SECOND = 5e10
_TRAINED_COPIES = 4
"""Weights, gradient and two moments."""
LARGE = 2_000_000_000
"""Bytes of graph from which it is worth saying."""


@dataclass(frozen=True)
class Estimate:
    """Of one run of the flagship that sets nothing.

    Attributes:
        graph: ``dense`` or ``sparse``.
        graph_bytes: of the item graph.
        trained_bytes: of what is trained, the Transformer and the LightGCN.
        data_bytes: of histories and sampled candidates.
        rounds, cohort: that the time is for.
        derived: the settings that follow from the data, each with its reason.
        cpu_seconds: of all clients and the server, without baselines and text encoding.
    """

    graph: str
    graph_bytes: int
    trained_bytes: int
    data_bytes: int
    rounds: int
    cohort: int
    cpu_seconds: int
    derived: list[str]

    @property
    def memory_bytes(self) -> int:
        """All of it."""
        return self.graph_bytes + self.trained_bytes + self.data_bytes

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "memory_bytes": self.memory_bytes}


def estimate(users: int, items: int, interactions: int) -> Estimate:
    """What a run of the flagship that sets nothing may take, perhaps a factor of three off.

    Args:
        users: how many there are.
        items: likewise.
        interactions: likewise.
    """
    graph, sequence = GraphSpec(), SequenceSpec()
    settings = flagship_settings(DataFacts(users, items, interactions))
    values = {each.key: each.value for each in settings}
    rounds, cohort = values[ROUNDS], values[COHORT]
    dense = graph.is_dense(items)
    neighbours = items * (graph.neighbors * _NEIGHBOUR_BYTES + graph.rank * _BYTES)
    width = values["algorithm.dim"]
    block = 4 * width * width + 2 * width * values["algorithm.hidden"]
    weights = (items + sequence.history) * width + sequence.blocks * block
    if values["algorithm.lightgcn"]:
        weights += items * width
    own = min(interactions / users, sequence.history)
    seconds = rounds * cohort * own * _SECONDS_AN_ITEM
    seconds += items**3 / _OPERATIONS_A_SECOND if dense else 0.0
    # two rankings against 99 candidates, and history, training rows and their order
    data = users * 2 * 99 * 8 + interactions * 3 * 8
    return Estimate(
        graph="dense" if dense else "sparse",
        graph_bytes=items * items * DENSE_PAIR_BYTES if dense else neighbours * _SPARSE_COPIES,
        trained_bytes=weights * _BYTES * _TRAINED_COPIES,
        data_bytes=data,
        rounds=rounds,
        cohort=cohort,
        cpu_seconds=round(seconds),
        derived=[str(each) for each in settings],
    )
