"""What is asked of each user: every model gets the same input and ranks the same candidates.

| part       | input under leave-one-out   | under global time          | full ranking        |
|------------|-----------------------------|----------------------------|---------------------|
| validation | training items              | all before the first date  | all items but those |
| test       | training + validation items | all before the second date | all items but those |

A user is asked for one item or for several, each ranked by itself from the same input: the other
targets are then no candidates. The secondary ranking is among the target and 99 never-touched
items fixed in the split, the same for all targets of a user; users who have fewer than those are
left out of it. A user for whom no other item is left is not asked.
Validation picks rounds and hyper-parameters; the test is read once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import pointers, ranges
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.split import HeldOut, Split

Score: TypeAlias = Callable[[ClientBatch], Tensor]
"""From clients with their input to scores of every item, float ``[clients, items]``."""


MOST_BYTES = 2**20
"""Of the scores of one model that are held at once: they stay in the processor's cache, where they
are worked on several times as fast, and what evaluation needs does not grow with the users."""
FEWEST = 32
"""Clients whose scores are held at once although they are more: below so many, reading what all
items have once for each group takes longer than anything that is done with the scores."""


def at_most(chunk: int, scores: int) -> int:
    """So many clients at a time, or fewer, so that their float32 scores stay below `MOST_BYTES`.

    Args:
        chunk: how many are asked for.
        scores: numbers for each client; those of `FEWEST` clients may be more.
    """
    return min(chunk, max(FEWEST, MOST_BYTES // (4 * scores)))


LONG = 64
"""Items of a history from which its length does not matter: the longest ones do not meet."""


def of_like_length(users: ClientBatch, places: Tensor) -> Tensor:
    """Places of users, int64 ``[chosen]``, so that short histories meet others as short.

    Little of them is padding then, and a group of users is all cold or all known.
    """
    return places[users.counts[places].clamp(max=LONG).argsort(stable=True)]


@dataclass(frozen=True)
class EvaluationSet:
    """Everybody that a part of the protocol asks, and for what.

    Attributes:
        clients: the users, with the input that every model gets, and how long each was away.
        targets: int64 ``[asked, targets]``, the items that each is asked for, in time order; -1
            where there are fewer.
        rivals: int64 ``[asked, 99]``, the sampled candidates beside it; -1 where there are fewer.
    """

    clients: ClientBatch
    targets: Tensor
    rivals: Tensor

    @classmethod
    def of(cls, batch: ClientBatch, split: Split, part: HeldOut) -> "EvaluationSet":
        """See `inputs` for the arguments."""
        away = split.away(part)
        return cls(
            clients=replace(
                inputs(batch, split, part), away=None if away is None else torch.from_numpy(away)
            ),
            targets=torch.from_numpy(split.targets(part)),
            rivals=torch.from_numpy(split.rivals[part]),
        )

    def select(self, places: Tensor) -> "EvaluationSet":
        """Those at some places, int64 ``[chosen]``."""
        return EvaluationSet(self.clients.select(places), self.targets[places], self.rivals[places])


def inputs(batch: ClientBatch, split: Split, part: HeldOut) -> ClientBatch:
    """The users that are asked, with the input that every model gets.

    ``batch`` holds all users, as `ufgraphfr.data.client_batches.build` gives them.
    """
    asked = torch.from_numpy(split.asked(part))
    chosen = batch.select(asked)
    if part == "validation":
        return chosen
    known = torch.from_numpy(split.known)[asked]
    places = ranges(torch.from_numpy(split.history_ptr)[asked], known)
    return chosen.with_history(pointers(known), torch.from_numpy(split.history)[places])


def scored(
    score: Score, clients: ClientBatch, chunk: int = 256
) -> Iterator[tuple[ClientBatch, Tensor]]:
    """Scores of some clients, a chunk at a time.

    Args:
        score: the model.
        clients: their input.
        chunk: clients at a time, at most: fewer where items are many, see `at_most`.

    Yields:
        clients with their input, and their scores, float ``[chunk, items]``, on one device.
    """
    for places in torch.arange(len(clients)).split(at_most(chunk, clients.n_items)):
        part = clients.select(places)
        scores = score(part).detach()
        yield part.to(scores.device), scores
