"""Closed forms, fused: what is reached centrally without a network, a text or a round.

The operators of the flagship's item graph (`algorithms.ufgraphformer.graph`), made from everybody's
rows at once, and the other baselines that fit the memory; fused as the flagship's parts are: scores
f_p standardised for each user, with lighter tails, and sum_p w_p f_p with w fitted to the
validation items and chosen as `evaluation.fusion` says. So the flagship minus this is what its
Transformer, texts and local head add.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Literal, final

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS, NEXT, GraphSpec
from ufgraphfr.algorithms.ufgraphformer.graph.part import ItemGraph
from ufgraphfr.baselines.base import Baseline, memory_budget
from ufgraphfr.baselines.ease import Ease
from ufgraphfr.baselines.ials import Ials
from ufgraphfr.baselines.itemknn import ItemKNN
from ufgraphfr.baselines.markov import Markov
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.bends import bent
from ufgraphfr.ops.blend import weighted
from ufgraphfr.ops.fusion import Scorer, Squash, squash_for, squashed

logger = logging.getLogger(__name__)

BLEND = "blend"
ROOT = "squash.root"
"""Kept with what is fitted: a blend means nothing with scores that are squashed otherwise."""
_BLOCK_BYTES = 2**26
"""Of the graph's sums that are dense at a time."""
_SCORE_BYTES = 2**27
"""Of the parts' scores that are held at a time."""
_PAIR_BYTES = 24
"""For each pair of items that somebody has both of, in a sparse graph on its way; 15 as measured
with 41,000 items, and 17 where histories have an order."""


@final
class ClosedForms(Baseline):
    """All closed forms and iALS, with coefficients fitted on validation."""

    graph: GraphSpec = GraphSpec()
    """The item graph, as the flagship's; ``rounds`` means nothing here."""
    ease: Ease | Literal[False] = Ease()
    """EASE; left out where the graph is sparse."""
    markov: Markov | Literal[False] = Markov()
    """Transitions; left out where histories have no order."""
    ials: Ials | Literal[False] = Ials()
    """Matrix factorisation."""
    itemknn: ItemKNN | Literal[False] = ItemKNN()
    """Nearest neighbours among items."""

    history_length: bool = True
    """Whether weights depend on how long a history is."""
    absence: bool = True
    """Whether weights depend on how long a user was away, where times are dates."""
    squash: Squash | None = None
    """How z-scores get lighter tails, as the flagship's key; None: by the size of the catalogue."""

    def fit(self, training: ClientBatch) -> dict[str, Tensor]:
        """The graph's operators and each baseline's arrays; ``blend``, all parts alike."""
        fitted = self._graph_of(training)
        for kind, baseline in self._affordable(training):
            own = baseline.fit(training)
            fitted |= {f"{kind}.{name}": value for name, value in own.items()}
        if (self.squash or squash_for(training.n_items)) == "root":
            fitted[ROOT] = torch.tensor(True)
        return fitted | {BLEND: torch.ones(len(self.part_names(fitted)))}

    def score(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """The parts' weighted sum, so many clients at a time that their parts fit the memory."""
        count = len(self.part_names(fitted))
        chunk = max(1, _SCORE_BYTES // (4 * count * inputs.n_items))
        chosen = (inputs.select(own) for own in torch.arange(len(inputs)).split(chunk))
        return torch.cat([self._fused(fitted, own) for own in chosen])

    def _fused(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        parts, blend = self.parts(fitted, inputs), fitted[BLEND].expand(1, len(inputs), -1)
        return weighted(parts, bent(blend, len(parts), inputs.counts, inputs.away))[0]

    def parts(self, fitted: dict[str, Tensor], inputs: ClientBatch) -> Tensor:
        """See `Fused.parts`."""
        found: list[Iterable[Tensor | Scorer]] = [ItemGraph(self.graph).scores(fitted, inputs)]
        for kind, baseline in self._beside(inputs.ordered).items():
            if own := _named(fitted, f"{kind}."):
                found.append(baseline.score(own, inputs)[None])
        return squashed(*found, squash="root" if ROOT in fitted else "log")

    def part_names(self, fitted: dict[str, Tensor]) -> tuple[str, ...]:
        """See `Fused.part_names`."""
        ordered = NEXT in fitted
        setting = Setting(len(fitted[COUNTS]), 0, 0, 0, sequential=ordered)
        beside = (kind for kind in self._beside(ordered) if _named(fitted, f"{kind}."))
        return *ItemGraph(self.graph).names(setting), *beside

    def _beside(self, ordered: bool) -> dict[str, Baseline]:
        """The baselines that are on; where histories have no order, nothing is the next."""
        markov = self.markov if ordered else False
        own = {"ease": self.ease, "ials": self.ials, "itemknn": self.itemknn, "markov": markov}
        return {kind: baseline for kind, baseline in own.items() if baseline is not False}

    def _graph_of(self, training: ClientBatch) -> dict[str, Tensor]:
        """As the flagship's rounds would collect it, in as few as the memory of a block allows."""
        items = training.n_items
        blocks = -(-4 * items**2 // _BLOCK_BYTES)
        graph = ItemGraph(self.graph.model_copy(update={"rounds": blocks}))
        setting = Setting(items, len(training), 0, 0, sequential=training.ordered)
        state, ordered = graph.state(setting), torch.tensor(training.ordered)
        for block in range(1, blocks + 1):
            task = Task(block, training.clients, {"ordered": ordered}, {})
            update = graph.contribution(task, training, Key(0))
            arrays = {} if update is None else update.arrays
            sums = {name: own for name, own in arrays.items() if isinstance(own, Tensor)}
            state = graph.collect(state, sums, block)
        return graph.shared(state)

    def _affordable(self, training: ClientBatch) -> Iterator[tuple[str, Baseline]]:
        """The baselines that are on, but for those that are too large for these data."""
        size = len(training), training.n_items, len(training.items)
        left = memory_budget() - self._graph_bytes(*size)
        if self.markov is not False and not training.ordered:
            logger.info("%s: markov is left out: histories have no order", self.kind)
        for kind, baseline in self._beside(training.ordered).items():
            needed = baseline.estimated_bytes(*size)
            if isinstance(baseline, Ease) and not self.graph.is_dense(training.n_items):
                why = f"above {self.graph.dense_items:,} items its inverse is too large"
            elif needed > left:
                why = f"it needs about {needed:,} bytes, and {max(0, left):,} are left"
            else:
                yield kind, baseline
                continue
            logger.info("%s: %s is left out: %s", self.kind, kind, why)

    def estimated_bytes(self, users: int, items: int, interactions: int) -> int:
        """The graph's; a baseline that does not fit beside it is left out."""
        return self._graph_bytes(users, items, interactions)

    def _graph_bytes(self, users: int, items: int, interactions: int) -> int:
        """Operators, and what is held on the way to them."""
        if self.graph.is_dense(items):
            return 48 * items**2 + 12 * _BLOCK_BYTES
        kept = 8 * 4 * items * min(self.graph.neighbors, items)
        # histories of the mean length, twice for those that are longer
        pairs = min(items**2, 2 * interactions**2 // max(1, users))
        return kept + _PAIR_BYTES * pairs


def _named(fitted: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The arrays of one baseline, by its own names."""
    return {
        name.removeprefix(prefix): value
        for name, value in fitted.items()
        if name.startswith(prefix)
    }
