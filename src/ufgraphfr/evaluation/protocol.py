"""One next item asked of each user: every model gets the same input and ranks the same candidates.

| part       | input under leave-one-out  | under global time          | full ranking        |
|------------|----------------------------|----------------------------|---------------------|
| validation | training items             | all before the first date  | all items but those |
| test       | training + validation item | all before the second date | all items but those |

The secondary ranking is among the target and 99 never-touched items fixed in the split.
Validation picks rounds and hyper-parameters; the test is read once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import ranges
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.split import HeldOut, Split
from ufgraphfr.evaluation.metrics import summary
from ufgraphfr.ops.ranking import full_ranks, sampled_ranks, top

Score: TypeAlias = Callable[[ClientBatch], Tensor]
"""From clients with their input to scores of every item, float ``[clients, items]``."""

RANKINGS = ("full", "sampled99")
"""Among all items not interacted with, and among the target and 99 sampled ones."""
COVERAGE = 10


@dataclass(frozen=True)
class RankingResult:
    """What came out for each user that was asked.

    Attributes:
        users: int64 ``[asked]``, the data set's numbers, ascending.
        full: float64 ``[asked]``, the target's rank in the full ranking.
        sampled: float64 ``[asked]``, its rank among itself and 99 sampled items.
        coverage: share of the catalogue that is in somebody's top ten of the full ranking.
    """

    users: NDArray[np.int64]
    full: NDArray[np.float64]
    sampled: NDArray[np.float64]
    coverage: float

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Means by ranking and metric, e.g. ``metrics["full"]["ndcg@10"]``."""
        return {
            "full": {**summary(self.full), f"coverage@{COVERAGE}": self.coverage},
            "sampled99": summary(self.sampled),
        }


def inputs(batch: ClientBatch, split: Split, part: HeldOut) -> ClientBatch:
    """The users that are asked, with the input that every model gets.

    Args:
        batch: all users, as `ufgraphfr.data.client_batches.build` gives them.
        split: who trains on what.
        part: ``validation`` or ``test``.
    """
    asked = torch.from_numpy(split.asked(part))
    chosen = batch.select(asked)
    if part == "validation":
        return chosen
    known = torch.from_numpy(split.known)[asked]
    places = ranges(torch.from_numpy(split.history_ptr)[asked], known)
    ptr = torch.cat([known.new_zeros(1), known.cumsum(0)])
    return chosen.with_history(ptr, torch.from_numpy(split.history)[places])


def scored(score: Score, clients: ClientBatch, chunk: int = 256) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores of some clients, a chunk at a time.

    Args:
        score: the model.
        clients: their input.
        chunk: clients at a time, the only memory knob.

    Yields:
        the clients' numbers, int64 ``[chunk]``, and their scores, float ``[chunk, items]``.
    """
    for places in torch.arange(len(clients)).split(chunk):
        part = clients.select(places)
        yield part.clients, score(part)


def evaluate(chunks: Iterable[tuple[Tensor, Tensor]], split: Split, part: HeldOut) -> RankingResult:
    """Rank the target of every user that is asked; scores are consumed chunk by chunk and not kept.

    Args:
        chunks: clients' numbers, int64 ``[chunk]``, and their scores of all items, float
            ``[chunk, items]``; every user that is asked once, in any order.
        split: who is asked for what.
        part: ``validation`` or ``test``.

    Raises:
        ValueError: scores of another shape, or a user not scored exactly once.
    """
    held = inputs(build(split, torch.empty(split.n_users, 0)), split, part)
    ranked = [_ranked(clients.cpu(), scores, held, split, part) for clients, scores in chunks]
    clients, full, sampled, best = (torch.cat(column) for column in zip(*ranked, strict=True))
    order = clients.argsort()
    if not torch.equal(clients[order], held.clients):
        raise ValueError("every user that is asked must be scored exactly once")
    return RankingResult(
        users=held.clients.numpy(),
        full=full[order].numpy(),
        sampled=sampled[order].numpy(),
        coverage=len(best[best >= 0].unique()) / split.n_items,
    )


def _ranked(
    clients: Tensor, scores: Tensor, held: ClientBatch, split: Split, part: HeldOut
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The clients, their targets' full and sampled ranks, and their top lists."""
    if scores.shape != (len(clients), split.n_items):
        raise ValueError(
            f"scores of shape {tuple(scores.shape)} for {len(clients)} clients and "
            f"{split.n_items} items"
        )
    if not bool(torch.isin(clients, held.clients).all()):
        raise ValueError(
            "only users with a target are evaluated; for cold users see ufgraphfr.evaluation.cold"
        )
    device = scores.device
    known = held.select(torch.searchsorted(held.clients, clients)).to(device)
    if part == "validation":
        targets, rivals = split.validation, split.sampled_validation
    else:
        targets, rivals = split.test, split.sampled_test
    target = torch.from_numpy(targets)[clients].to(device)
    candidates = torch.from_numpy(rivals)[clients].to(device)
    scores = scores.detach()
    full = full_ranks(scores, target, known.ptr, known.items)
    sampled = sampled_ranks(scores, target, candidates)
    best = top(scores, COVERAGE, known.ptr, known.items)
    return clients, full.cpu(), sampled.cpu(), best.cpu()
