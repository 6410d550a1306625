"""The canary: what a scorer without parameters gains by remembering its drawn negatives.

It stays at chance when negatives come from everything outside the training items, and is all but
perfect when held-out items are spared, as they were in published figures of this line of work.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.client_batches import ClientBatch, Negatives, build
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.negatives import draw_outside
from ufgraphfr.data.split import Split, leave_one_out
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.protocol import EvaluationSet

USERS, ITEMS, EACH, ROUNDS = 600, 400, 40, 100


@pytest.fixture(scope="module")
def dense() -> Split:
    """Users with 40 of 400 items each, somewhat denser than MovieLens-100K."""
    rng = np.random.default_rng(0)
    data = Interactions(
        user=np.repeat(np.arange(USERS), EACH),
        item=np.concatenate([rng.permutation(ITEMS)[:EACH] for _ in range(USERS)]),
        timestamp=None,
        n_users=USERS,
        n_items=ITEMS,
    )
    return leave_one_out(data)


def remembered(batch: ClientBatch) -> Tensor:
    """How often each item was a negative of each user: 4 fresh ones per positive and round."""
    count = 4 * int(batch.counts[0])
    memory = torch.zeros(len(batch), batch.n_items)
    for round_number in range(ROUNDS):
        key = Key(0, round=round_number, purpose=Purpose.NEGATIVES)
        drawn = draw_outside(
            key, batch.clients, count, batch.n_items, batch.excluded_ptr, batch.excluded
        )
        memory.scatter_add_(1, drawn, torch.ones(drawn.shape))
    return memory


@pytest.mark.parametrize(
    ("negatives", "low", "high"), [("honest", 0.07, 0.13), ("legacy-leaky", 0.9, 1)]
)
def test_memory_of_negatives(dense: Split, negatives: Negatives, low: float, high: float) -> None:
    batch = build(dense, torch.empty(USERS, 0), negatives)
    memory = remembered(batch)
    asked = EvaluationSet.of(batch, dense, "test")
    outcome = evaluate(lambda clients: -memory[clients.clients], asked)
    assert low <= outcome.metrics["sampled99"]["hr@10"] <= high
