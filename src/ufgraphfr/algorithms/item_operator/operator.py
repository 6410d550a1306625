"""The public item operator: one symmetric sum over clients, normalised at the server.

P = D^-1/2 (sum over clients u of n_u^-p x_u x_u^T) D^-1/2, with x_u the client's history as 0 and
1, n_u its length and D the counts of the items: with p = 1, one step from items to users and one
back over the normalised bipartite graph. In a round clients add some rows of the sum; which, is
public. The server keeps P as rows of what is not zero. P is symmetric: a gradient goes back through
it as a signal went forth.
"""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Update
from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.core.messages import State
from ufgraphfr.core.spec import Spec
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.link_rows import propagate_links
from ufgraphfr.ops.recency import propagate
from ufgraphfr.ops.weighted_pairs import weighted_pairs

COUNTS, PTR, INDEX, VALUE = "operator.counts", "operator.ptr", "operator.index", "operator.value"
"""In the server's memory: how many clients have each item, float ``[items]``; where each row of P
begins, its columns and its values."""
PAIRS, HAVING = "pairs", "having"
"""What clients add: rows of the sum, flat, and the counts of these items."""


class OperatorSpec(Spec):
    """How the operator is summed."""

    rounds: int = Field(8, ge=1)
    """Rounds over which the sum is spread."""
    user_power: float = Field(1.0, ge=0)
    """p: how much less a pair of items counts in a long history, decided at the client."""

    def begun(self, items: int) -> State:
        """The memory before anybody has added anything."""
        return {
            COUNTS: torch.zeros(items),
            PTR: torch.zeros(items + 1, dtype=torch.int64),
            INDEX: torch.zeros(0, dtype=torch.int32),
            VALUE: torch.zeros(0),
        }

    def rows(self, items: int, round_number: int) -> range:
        """The rows of the sum that a round asks for."""
        ends = round_number - 1, round_number
        return range(*(items * end // self.rounds for end in ends))

    def contribution(self, batch: ClientBatch, round_number: int) -> Update:
        """What these clients add in a round of the sum, added up over them."""
        rows = self.rows(batch.n_items, round_number)
        pairs = weighted_pairs(batch.ptr, batch.items, batch.n_items, self.user_power, rows)
        having = torch.bincount(batch.items, minlength=batch.n_items)[rows.start : rows.stop]
        loss = torch.zeros(len(batch), device=batch.items.device)
        return Update({PAIRS: pairs, HAVING: having.float()}, loss, summed=True)

    def collect(self, state: State, sums: State, round_number: int) -> State:
        """The memory with one round's rows, and after the last round the operator."""
        items = len(state[COUNTS])
        rows = self.rows(items, round_number)
        counts = state[COUNTS].clone()
        counts[rows.start : rows.stop] = sums[HAVING]
        pairs = (sums[PAIRS] if sums[PAIRS].is_sparse else sums[PAIRS].to_sparse()).coalesce()
        cells = pairs.indices()[0]
        lengths = torch.bincount(cells // items, minlength=len(rows))
        ends = torch.cat((state[PTR].diff()[: rows.start], lengths))
        missing = lengths.new_zeros(items - rows.stop)
        state = state | {
            COUNTS: counts,
            PTR: pointers(torch.cat((ends, missing))),
            INDEX: torch.cat((state[INDEX], (cells % items).int())),
            VALUE: torch.cat((state[VALUE], pairs.values())),
        }
        if round_number < self.rounds:
            return state
        root = counts.clamp(min=1).rsqrt()
        row = root.repeat_interleave(state[PTR].diff())
        return state | {VALUE: state[VALUE] * row * root[state[INDEX]]}


def is_whole(state: Mapping[str, Tensor], items: int) -> bool:
    """Whether rows begin and end within the entries, and columns are items."""
    ptr, index, value = (state[name] for name in (PTR, INDEX, VALUE))
    if len(ptr) != items + 1 or int(ptr[0]) or not len(index) == len(value) == int(ptr[-1]):
        return False
    inside = (index >= 0) & (index < items)
    return bool((ptr.diff() >= 0).all() & inside.all())


def applied(state: State, vectors: Tensor) -> Tensor:
    """P times vectors, float ``[items, dim]``."""
    index = state[INDEX]
    return propagate(state[PTR].to(index.dtype), index, state[VALUE], vectors)


def filtered(state: State, batch: ClientBatch, weights: Tensor) -> Tensor:
    """Weighted histories through P, once for each row of weights, and all in one pass.

    Args:
        state: the server's memory with the whole operator.
        batch: the clients.
        weights: float ``[sums, interactions]``.

    Returns:
        float ``[sums, clients, items]``.
    """
    links = (state[name] for name in (PTR, INDEX, VALUE))
    return propagate_links(batch.ptr, batch.items, weights, *links)
