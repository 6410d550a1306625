"""The data of clients: their histories and text vectors, as CSR over clients.

A `ClientBatch` is the only type through which private data is read; the client function is the only
code that reads it in training.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import owners, pointers, ranges
from ufgraphfr.core.keys import Key
from ufgraphfr.core.mapped import LARGE, ROWS_AT_ONCE, Column, gathered, let_go
from ufgraphfr.data.negatives import draw_outside
from ufgraphfr.data.split import HeldOut, Split
from ufgraphfr.ops.recency import recency

_READ_AT_ONCE = 1024
"""Clients whose rows are read of a long column before its pages are let go."""

Negatives = Literal["honest", "legacy-leaky"]


@dataclass(frozen=True)
class ClientBatch:
    """The private data of some clients.

    Attributes:
        clients: int64 ``[clients]``, their ids (they key all randomness).
        ptr: int64 ``[clients + 1]``; client c owns ``items[ptr[c]:ptr[c + 1]]``.
        items: int64, training items in time order; of everybody int32 where the data are.
        excluded_ptr: int64 ``[clients + 1]``, bounds in ``excluded``.
        excluded: likewise, items that are never negatives, ascending within a client.
        text: float ``[clients, width]``, the embedded profile; or, with ``text_of``, of each
            distinct profile.
        n_items: how many items there are.
        ordered: whether the order of a history means something.
        text_of: int32 ``[clients]``, each client's row in ``text``; None where it has one of its
            own. Only a batch of everybody shares rows: whom `select` gives has its own.
        away: float64 ``[clients]``, seconds since the last of the items, as a device knows them
            that asks for a list; None where nobody knows, or for users in the middle of a visit.
    """

    clients: Tensor
    ptr: Tensor
    items: Tensor
    excluded_ptr: Tensor
    excluded: Tensor
    text: Tensor
    n_items: int
    ordered: bool = True
    text_of: Tensor | None = None
    away: Tensor | None = None

    def __len__(self) -> int:
        """How many clients this holds."""
        return len(self.clients)

    @property
    def counts(self) -> Tensor:
        """int64 ``[clients]``: training items of each client."""
        return self.ptr.diff()

    def select(self, positions: Tensor) -> "ClientBatch":
        """Some of the clients, by position (int64 ``[n]``), in that order."""
        histories = (
            *_select(self.ptr, self.items, positions),
            *_select(self.excluded_ptr, self.excluded, positions),
        )
        return ClientBatch(
            self.clients[positions],
            *histories,
            self.text[positions if self.text_of is None else self.text_of[positions]],
            self.n_items,
            self.ordered,
            away=None if self.away is None else self.away[positions],
        )

    @property
    def own_text(self) -> Tensor:
        """The embedded profile of each client, float ``[clients, width]``."""
        return self.text if self.text_of is None else self.text[self.text_of]

    def last(self, length: int) -> tuple[Tensor, Tensor]:
        """Each client's most recent items, oldest first, int64 ``[clients, length]``.

        They are padded with -1 on the right; with them come int64 ``[clients]``, how many.
        """
        kept = self.counts.clamp(max=length)
        return self._padded(self.ptr[1:] - kept, kept, length), kept

    def first(self, length: int) -> tuple[Tensor, Tensor]:
        """Each client's oldest items; otherwise as `last`."""
        kept = self.counts.clamp(max=length)
        return self._padded(self.ptr[:-1], kept, length), kept

    def random_window(self, length: int, key: Key) -> Tensor:
        """Each client's items in a row from a start that ``key`` draws, ``[clients, length]``."""
        positions = (self.counts - length).clamp(min=0) + 1
        start = self.ptr[:-1] + key.integers(self.clients, 1, positions)[:, 0]
        return self._padded(start, self.counts.clamp(max=length), length)

    def negatives(self, key: Key, count: int) -> Tensor:
        """Uniform items that the clients do not have, int64 ``[clients, count]``.

        See `draw_outside`.
        """
        return draw_outside(
            key, self.clients, count, self.n_items, self.excluded_ptr, self.excluded
        )

    def _padded(self, starts: Tensor, kept: Tensor, length: int) -> Tensor:
        padded = torch.full((len(self), length), -1, device=self.items.device)
        owner = torch.repeat_interleave(torch.arange(len(self), device=kept.device), kept)
        position = ranges(torch.zeros_like(kept), kept)
        padded[owner, position] = self.items[ranges(starts, kept)].long()
        return padded

    def with_own_text(self) -> "ClientBatch":
        """The same clients with a row of ``text`` each."""
        return replace(self, text=self.own_text, text_of=None)

    def recency(self, decay: float) -> Tensor:
        """Weights of the histories' items, float64 ``[rows]``: see `ops.recency`.

        Where the order of a history means nothing, nothing is recent: each weighs one.
        """
        return recency(self.ptr, decay if self.ordered else 1.0)

    def with_history(self, ptr: Tensor, items: Tensor) -> "ClientBatch":
        """The same clients with another history (their input at test time)."""
        return replace(self, ptr=ptr, items=items)

    def of_the_first(self, items: int) -> "ClientBatch":
        """The same clients without what they have of later items, nor what is excluded."""
        kept = self.items < items
        owner = owners(self.ptr, len(self.items))[kept]
        nothing = torch.zeros_like(self.excluded_ptr)
        return replace(
            self.with_history(pointers(owner.bincount(minlength=len(self))), self.items[kept]),
            excluded_ptr=nothing,
            excluded=self.excluded[:0],
            n_items=items,
        )

    def to(self, device: torch.device) -> "ClientBatch":
        """The same data on another device."""
        moved: dict[str, Any] = {
            name: each.to(device) for name, each in vars(self).items() if isinstance(each, Tensor)
        }
        return replace(self, **moved)


def build(
    split: Split,
    text: Tensor,
    negatives: Negatives = "honest",
    ordered: bool = True,
    text_of: Tensor | None = None,
) -> ClientBatch:
    """All users in one batch.

    Args:
        split: who trains on what.
        text: float ``[users, width]``, or as ``text_of`` says.
        negatives: ``honest`` draws training negatives from everything outside the training items;
            ``legacy-leaky`` also spares the held-out items, which marks them: published
            figures of this line of work were made that way.
        ordered: whether the order of a history means something.
        text_of: as of `ClientBatch`.
    """
    ptr, items = torch.from_numpy(split.ptr), torch.from_numpy(split.train)
    excluded_ptr, excluded = ptr, items
    if negatives == "legacy-leaky":
        owner = owners(ptr, len(items))
        parts: tuple[HeldOut, ...] = ("validation", "test")
        for part in parts:
            asked, targets = (
                torch.from_numpy(each) for each in (split.asked(part), split.targets(part))
            )
            there = targets >= 0
            owner = torch.cat([owner, asked.repeat_interleave(there.sum(1))])
            excluded = torch.cat([excluded, targets[there]])
        excluded = excluded[owner.argsort(stable=True)]
        excluded_ptr = pointers(torch.bincount(owner, minlength=split.n_users))
    clients = torch.arange(split.n_users)
    excluded = _ascending(excluded_ptr, excluded, split.n_items)
    return ClientBatch(
        clients, ptr, items, excluded_ptr, excluded, text, split.n_items, ordered, text_of
    )


def _ascending(ptr: Tensor, items: Tensor, n_items: int) -> Tensor:
    """The items in ascending order within each client, some clients at a time."""
    size = max(1, ROWS_AT_ONCE * (len(ptr) - 1) // max(1, len(items)))

    def parts() -> Iterator[Column]:
        for first in range(0, len(ptr) - 1, size):
            own = ptr[first : first + size + 1]
            rows = slice(int(own[0]), int(own[-1]))
            keys = owners(own, rows.stop - rows.start) * n_items + items[rows]
            yield (keys.sort().values % n_items).numpy()
            let_go(items.nbytes)

    return torch.from_numpy(gathered(parts(), items.numpy().dtype))


def _select(ptr: Tensor, values: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    lengths, found = ptr[positions + 1] - ptr[positions], []
    # around each row of a long column the kernel reads others, which are let go as they come
    at_once = _READ_AT_ONCE if values.nbytes >= LARGE else max(1, len(positions))
    for own, length in zip(positions.split(at_once), lengths.split(at_once), strict=True):
        # what is kept of everybody may be narrower
        found.append(values[ranges(ptr[own], length)].long())
        let_go(values.nbytes)
    return pointers(lengths), torch.cat(found)
