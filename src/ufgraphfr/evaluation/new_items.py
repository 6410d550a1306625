"""Items the model never trained on: which of them a user takes up, given all else it is known for.

Every user of the test who has some of the new items is asked, with its test-time input. All new
items are ranked among themselves; NDCG@10 with the user's own as targets: DCG = sum over targets
with rank <= 10 of 1 / log2(1 + rank), divided by the ideal, ranks 1 to min(10, targets).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.split import PROTOCOL_SEED, Split
from ufgraphfr.evaluation.metrics import values
from ufgraphfr.evaluation.protocol import Score, inputs, scored
from ufgraphfr.ops.ranking import full_ranks

CUTOFF = 10


@dataclass(frozen=True)
class NewItemsOutcome:
    """What came out for each user that was asked.

    Attributes:
        users: int64 ``[asked]``, the data set's numbers, ascending.
        ndcg: float64 ``[asked]``.
        chance: float64 ``[asked]``, the same for scores at random.
    """

    users: NDArray[np.int64]
    ndcg: NDArray[np.float64]
    chance: NDArray[np.float64]

    @property
    def metrics(self) -> dict[str, float]:
        """Mean NDCG@10 of the model and of chance."""
        return {
            f"ndcg@{CUTOFF}": float(self.ndcg.mean()),
            f"ndcg@{CUTOFF} of chance": float(self.chance.mean()),
        }


def evaluate_new_items(
    score: Score, batch: ClientBatch, split: Split, chunk: int = 256
) -> NewItemsOutcome:
    """Rank the new items for each user who has some of them.

    Args:
        score: the model.
        batch: all users, as `ufgraphfr.data.client_batches.build` gives them.
        split: names the new items, and who has which.
        chunk: clients at a time.

    Raises:
        InputError: the split keeps no items out, or nobody who is asked has one.
    """
    known = inputs(batch, split, "test")
    targets = batch.with_history(
        torch.from_numpy(split.cold_item_ptr), torch.from_numpy(split.cold_item_history)
    )
    asked = known.select(targets.counts[known.clients].nonzero()[:, 0])
    if len(asked) == 0:
        raise InputError(
            "there are no new items to evaluate, or nobody who is asked for the test has one: "
            "raise the share 'cold_items'"
        )
    return NewItemsOutcome(
        users=asked.clients.numpy(),
        ndcg=_ndcg(score, asked, targets, split.cold_items, chunk),
        chance=_ndcg(_at_random, asked, targets, split.cold_items, chunk),
    )


def _at_random(clients: ClientBatch) -> Tensor:
    key = Key(PROTOCOL_SEED, round=3, purpose=Purpose.CANDIDATES)
    return key.uniform(clients.clients, clients.n_items)


def _ndcg(
    score: Score, asked: ClientBatch, targets: ClientBatch, items: NDArray[np.int64], chunk: int
) -> NDArray[np.float64]:
    """Each client's NDCG@10 when these items are ranked among themselves, ``[asked]``."""
    new, found = torch.from_numpy(items), []
    ideal = values(f"ndcg@{CUTOFF}", np.arange(1.0, CUTOFF + 1)).cumsum()
    for clients, scores in scored(score, asked, chunk):
        own = targets.select(clients.clients.cpu())
        owner = owners(own.ptr, len(own.items))
        place = torch.searchsorted(new, own.items)
        nothing = torch.zeros(len(owner) + 1, dtype=torch.int64), new[:0]
        ranks = full_ranks(scores.cpu()[:, new][owner], place, *nothing)
        gains = torch.from_numpy(values(f"ndcg@{CUTOFF}", ranks.numpy()))
        reached = torch.zeros(len(own), dtype=torch.float64).index_add_(0, owner, gains)
        found.append(reached.numpy() / ideal[own.counts.clamp(max=CUTOFF).numpy() - 1])
    return np.concatenate(found)
