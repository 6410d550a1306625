"""The users whom a list can be made for by name: those of a data set, or of a node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from ufgraphfr.data.absence import last_seen
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.untrained import Untrained
from ufgraphfr.experiment.prepare import PreparedExperiment


@dataclass(frozen=True)
class KnownUsers:
    """Users with what each has, and what can be said of anybody else.

    Attributes:
        names: their ids.
        batch: in the same order, each with its whole history, oldest first.
        trained: bool ``[users]``, who trained.
        untrained: users of the files beside them, and how a profile becomes a sentence.
        profiles: attributes of users by name, as far as they are kept.
        declared: attributes that a profile may have beside those of `profiles`, with their values
            where these are known.
        any_profile: whether attributes of any name are as good, since nobody here knows them.
        others: what to do about a user who is not among them, in half a sentence.
        stranger: a number that no client has.
        last_seen: float64 ``[users]``, when each had its last item, in seconds since 1970; None
            where times are no dates.
    """

    names: Sequence[str]
    batch: ClientBatch
    trained: Tensor
    untrained: Untrained
    others: str
    stranger: int
    profiles: Sequence[Mapping[str, str]] = ()
    declared: Mapping[str, Sequence[str]] = field(default_factory=dict)
    any_profile: bool = False
    last_seen: Tensor | None = None

    @staticmethod
    def of(prepared: PreparedExperiment) -> "KnownUsers":
        """The users of a run's data."""
        split, users, untrained = prepared.split, prepared.dataset.users, prepared.dataset.untrained
        least = untrained.selection.min_user
        ptr, history = torch.from_numpy(split.history_ptr), torch.from_numpy(split.history)
        return KnownUsers(
            names=users.names,
            batch=prepared.batch.with_history(ptr, history),
            trained=prepared.batch.counts > 0,
            untrained=untrained,
            others=f"whoever has a row in the table of users, or fewer than {least} interactions, "
            f"can be added to the files and asked for without training again, and anybody else by "
            f"a history",
            stranger=len(users.names),
            profiles=users.profiles,
            last_seen=last_seen(prepared.dataset.interactions),
        )

    def select(self, kept: Tensor) -> "KnownUsers":
        """Some of the users, bool ``[users]``; for a list without `profiles`."""
        names = [name for name, keep in zip(self.names, kept.tolist(), strict=True) if keep]
        batch = self.batch.select(kept.nonzero()[:, 0])
        seen = None if self.last_seen is None else self.last_seen[kept]
        trained = self.trained[kept]
        return replace(self, names=tuple(names), batch=batch, trained=trained, last_seen=seen)

    def users(self, places: Tensor, now: float) -> ClientBatch:
        """Some of them, int64 ``[chosen]``, as they ask at a time in seconds since 1970."""
        found = self.batch.select(places)
        if self.last_seen is None:
            return found
        return replace(found, away=(now - self.last_seen[places]).clamp(min=0))

    @cached_property
    def values(self) -> dict[str, set[str]]:
        """The values of each attribute, as far as they are known."""
        found = {name: set(values) for name, values in self.declared.items()}
        for profile in self.profiles:
            for name, value in profile.items():
                found.setdefault(name, set()).add(value)
        return found
