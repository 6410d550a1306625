"""Users and items the model never trained on: NDCG@10 of several targets for each user.

Cold users, for k = 0, 1, 3, 10 known items: the user's next ten items, or as many as there are, and
all its later ones, in the ranking of all items but the known ones; who has no later item is not
asked. New items: every user of the test who has some is asked, with its test-time input; all new
items are ranked among themselves, and its own are the targets. DCG = sum over targets with rank
<= 10 of 1 / log2(1 + rank), divided by the ideal, ranks 1 to min(10, targets).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.protocol_draws import PROTOCOL_SEED
from ufgraphfr.data.split import COLD_KNOWN, COLD_TARGETS, Split
from ufgraphfr.evaluation.metrics import values
from ufgraphfr.evaluation.protocol import Score, at_most, inputs, scored
from ufgraphfr.ops.ranking import candidate_ranks, full_ranks

METRIC = "ndcg@10"
IDEAL = values(METRIC, np.arange(1.0, 11.0)).cumsum()
"""DCG of a perfect ranking of 1, 2, ... 10 targets."""


@dataclass(frozen=True)
class KeptOutResult:
    """What came out for each user that was asked.

    Attributes:
        users: int64 ``[asked]``, the data set's numbers, ascending.
        ndcg: float64 ``[asked]`` by name: ``ndcg@10 known=0`` and so on; or ``ndcg@10`` and
            ``ndcg@10 of chance``, the same for scores at random. NaN for who is not asked.
    """

    users: NDArray[np.int64]
    ndcg: dict[str, NDArray[np.float64]]

    @property
    def metrics(self) -> dict[str, float]:
        """The means over users."""
        asked = {name: each[~np.isnan(each)] for name, each in self.ndcg.items()}
        return {name: float(each.mean()) for name, each in asked.items() if len(each)}


def evaluate_cold(
    score: Score, batch: ClientBatch, split: Split, chunk: int = 256
) -> KeptOutResult:
    """Rank each cold user's next ten items after its first few; see `scored` and `inputs`.

    Raises:
        InputError: the split keeps no cold users.
    """
    if len(split.cold_users) == 0:
        raise InputError(
            "there are no cold users to evaluate: raise the share 'cold_users' above 0 "
            "(only users with at least 20 interactions are kept out)"
        )
    return _cold(_after, score, batch, split, chunk)


def _cold(
    after: Callable[[int, Score, ClientBatch, Split, int], NDArray[np.float64]],
    score: Score,
    batch: ClientBatch,
    split: Split,
    chunk: int,
) -> KeptOutResult:
    """NDCG@10 of each cold user who has more than the known items, for each number of these."""
    found = {}
    for known in COLD_KNOWN:
        ndcg = np.full(len(split.cold_users), np.nan)
        asked = _asked(known, split)
        if asked.any():
            ndcg[asked] = after(known, score, batch, split, chunk)
        found[f"{METRIC} known={known}"] = ndcg
    return KeptOutResult(split.cold_users, found)


def _asked(known: int, split: Split) -> NDArray[np.bool_]:
    """Which cold users have an item after the known ones, ``[cold]``."""
    later: NDArray[np.bool_] = split.first_items[:, known] >= 0
    return later


def _after(
    known: int, score: Score, batch: ClientBatch, split: Split, chunk: int
) -> NDArray[np.float64]:
    """NDCG@10 of each cold user's next ten, when its first ``known`` items are known."""
    clients = _beginnings(known, batch, split)
    chunk = at_most(chunk, batch.n_items)
    own_targets = split.first_items[_asked(known, split), known : known + COLD_TARGETS]
    targets = torch.from_numpy(own_targets)
    ranks = []
    for (own, scores), wanted in zip(
        scored(score, clients, chunk), targets.split(chunk), strict=True
    ):
        columns = wanted.clamp(min=0).to(scores.device).unbind(1)
        each = [full_ranks(scores, column, own.ptr, own.items).cpu() for column in columns]
        ranks.append(torch.stack(each, 1))
    there = own_targets >= 0
    gains = values(METRIC, torch.cat(ranks).numpy()) * there
    reached: NDArray[np.float64] = gains.sum(1) / IDEAL[there.sum(1) - 1]
    return reached


def _beginnings(known: int, batch: ClientBatch, split: Split) -> ClientBatch:
    """The cold users with their first ``known`` items, if they have later ones."""
    asked = _asked(known, split)
    cold = torch.from_numpy(split.cold_users[asked])
    ptr = torch.arange(len(cold) + 1) * known
    first = torch.from_numpy(split.first_items[asked, :known]).flatten()
    return batch.select(cold).with_history(ptr, first)


def evaluate_cold_all(
    score: Score, batch: ClientBatch, split: Split, chunk: int = 256
) -> KeptOutResult:
    """Rank all later items of each cold user after its first few; otherwise as `evaluate_cold`.

    The next ten are what a user begins with; all later ones are what it likes.
    """
    return _cold(_all_after, score, batch, split, chunk)


def _all_after(
    known: int, score: Score, batch: ClientBatch, split: Split, chunk: int
) -> NDArray[np.float64]:
    """NDCG@10 of everything after each cold user's first ``known`` items, ``[cold]``."""
    found = []
    for own, scores in scored(score, _beginnings(known, batch, split), chunk):
        for user, row in zip(own.clients.tolist(), scores.cpu(), strict=True):
            first, last = split.history_ptr[user : user + 2]
            history = torch.from_numpy(split.history[first:last])
            candidates = row.clone()
            candidates[history[:known]] = torch.nan
            targets = history[known:]
            copies = candidates.expand(len(targets), -1)
            left = torch.full_like(targets, split.n_items - known)
            gains = values(METRIC, candidate_ranks(copies, left, targets).numpy())
            found.append(gains.sum() / IDEAL[min(len(targets), len(IDEAL)) - 1])
    return np.array(found)


def evaluate_new_items(
    score: Score, batch: ClientBatch, split: Split, chunk: int = 256
) -> KeptOutResult:
    """Rank the new items for each user who has some of them; see `scored` and `inputs`.

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
    ndcg = {
        name: _ndcg(by, asked, targets, split.cold_items, chunk)
        for name, by in ((METRIC, score), (f"{METRIC} of chance", _at_random))
    }
    return KeptOutResult(asked.clients.numpy(), ndcg)


def _at_random(clients: ClientBatch) -> Tensor:
    key = Key(PROTOCOL_SEED, round=3, purpose=Purpose.CANDIDATES)
    return key.uniform(clients.clients, clients.n_items)


def _ndcg(
    score: Score, asked: ClientBatch, targets: ClientBatch, items: NDArray[np.int64], chunk: int
) -> NDArray[np.float64]:
    """Each client's NDCG@10 when these items are ranked among themselves, ``[asked]``."""
    new, found = torch.from_numpy(items), []
    for clients, scores in scored(score, asked, chunk):
        own = targets.select(clients.clients.cpu())
        owner = owners(own.ptr, len(own.items))
        place = torch.searchsorted(new, own.items)
        nothing = torch.zeros(len(owner) + 1, dtype=torch.int64), new[:0]
        ranks = full_ranks(scores.cpu()[:, new][owner], place, *nothing)
        gains = torch.from_numpy(values(METRIC, ranks.numpy()))
        reached = torch.zeros(len(own), dtype=torch.float64).index_add_(0, owner, gains)
        found.append(reached.numpy() / IDEAL[own.counts.clamp(max=len(IDEAL)).numpy() - 1])
    return np.concatenate(found)
