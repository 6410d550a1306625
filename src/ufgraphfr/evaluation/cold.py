"""Users the model never trained on: what is recommended after their first few items.

For k = 0, 1, 3, 10 known items: NDCG@10 of the user's next ten items in the ranking of all items
but the known ones; DCG = sum over targets with rank <= 10 of 1 / log2(1 + rank), divided by the
ideal, ranks 1 to 10.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.split import COLD_KNOWN, COLD_TARGETS, Split
from ufgraphfr.evaluation.metrics import values
from ufgraphfr.evaluation.protocol import Score, scored
from ufgraphfr.ops.ranking import full_ranks

CUTOFF = 10


@dataclass(frozen=True)
class ColdOutcome:
    """What came out for each cold user.

    Attributes:
        users: int64 ``[cold]``, the data set's numbers, ascending.
        ndcg: float64 ``[len(COLD_KNOWN), cold]``.
    """

    users: NDArray[np.int64]
    ndcg: NDArray[np.float64]

    @property
    def metrics(self) -> dict[str, float]:
        """Mean NDCG@10 by the number of known items, e.g. ``metrics["ndcg@10 known=0"]``."""
        means = self.ndcg.mean(1).tolist()
        return {
            f"ndcg@{CUTOFF} known={known}": mean
            for known, mean in zip(COLD_KNOWN, means, strict=True)
        }


def evaluate_cold(score: Score, batch: ClientBatch, split: Split, chunk: int = 256) -> ColdOutcome:
    """Rank each cold user's next ten items after its first few.

    Args:
        score: the model; it gets clients whose history is their first k items.
        batch: all users, as `ufgraphfr.data.client_batches.build` gives them (for their texts).
        split: names the cold users and their first items.
        chunk: clients at a time.

    Raises:
        InputError: the split keeps no cold users.
    """
    if len(split.cold_users) == 0:
        raise InputError(
            "there are no cold users to evaluate: raise the share 'cold_users' above 0 "
            "(only users with at least 20 interactions are kept out)"
        )
    ndcg = np.stack([_after(known, score, batch, split, chunk) for known in COLD_KNOWN])
    return ColdOutcome(users=split.cold_users, ndcg=ndcg)


def _after(
    known: int, score: Score, batch: ClientBatch, split: Split, chunk: int
) -> NDArray[np.float64]:
    """NDCG@10 of each cold user when its first ``known`` items are known, ``[cold]``."""
    cold = torch.from_numpy(split.cold_users)
    ptr = torch.arange(len(cold) + 1) * known
    first = torch.from_numpy(split.first_items[:, :known]).flatten()
    clients = batch.select(cold).with_history(ptr, first)
    targets = torch.from_numpy(split.first_items[:, known : known + COLD_TARGETS]).split(chunk)
    ranks = []
    for (own, scores), wanted in zip(scored(score, clients, chunk), targets, strict=True):
        columns = wanted.to(scores.device).unbind(1)
        each = [full_ranks(scores, column, own.ptr, own.items).cpu() for column in columns]
        ranks.append(torch.stack(each, 1))
    ideal = values(f"ndcg@{CUTOFF}", np.arange(1.0, COLD_TARGETS + 1)).sum()
    reached: NDArray[np.float64] = values(f"ndcg@{CUTOFF}", torch.cat(ranks).numpy()).sum(1) / ideal
    return reached
