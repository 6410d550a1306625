"""What an algorithm may offer beyond `Algorithm`, and what holds where it does not.

A capability is a protocol: an algorithm has it by defining its methods, nothing is derived from.
Callers use the functions below, which give the default to an algorithm that lacks it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.arrays.protocol import Matrix
from ufgraphfr.core.derived import DataFacts, Derived
from ufgraphfr.core.messages import Private, Report, State, Task
from ufgraphfr.core.releases import Budget, Release
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.blend import weighted


@runtime_checkable
class AsksAllClients(Protocol):
    """Has rounds that ask everybody."""

    def asks_all_clients(self, round_number: int) -> bool:
        """Whether this round asks every client once, whatever the size of a cohort."""


@runtime_checkable
class Stackable(Protocol):
    """Has rounds in which ``[federation] chunk`` does not say how many clients are stacked."""

    def stacked_bytes(self, counts: Tensor, items: int, round_number: int) -> Tensor | None:
        """What each holds while stacked, by its interactions, ``[clients]``; None where it does."""


@runtime_checkable
class Blended(Protocol):
    """Scores by a weighted sum of parts, whose weights are fitted on the devices.

    The weights ``blend`` in the server's memory are a number for each part, and then numbers that
    are chosen and not fitted.
    """

    def parts(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """Scores of each part, float ``[parts, clients, items]``; see `Algorithm.score`."""

    def part_names(self, setting: Setting) -> tuple[str, ...]:
        """What each part is called."""

    def blended(self, task: Task, inputs: ClientBatch, parts: Tensor, weights: Tensor) -> Tensor:
        """Scores of the clients, float ``[choices, clients, items]``, no view of the parts.

        ``parts`` are those of these clients, ``weights`` float ``[choices, clients, blend]``.
        """

    def fixed_blends(self, setting: Setting) -> Tensor:
        """Weights to choose from beside the fitted ones, float ``[choices, blend]``.

        The first is what a model begins with.
        """

    @property
    def priors(self) -> Tensor:
        """The numbers to choose from that are not fitted, float ``[choices, rest of the blend]``.

        The first is preferred.
        """


@runtime_checkable
class Explained(Protocol):
    """Scores by a sum, of which it can say what was added for what."""

    def contributions(
        self, setting: Setting, task: Task, inputs: ClientBatch, private: Private
    ) -> dict[str, Tensor]:
        """What each part adds to the scores, each float ``[clients, items]``.

        They add up to what `Algorithm.score` gives.
        """


@runtime_checkable
class ScoringTask(Protocol):
    """Is evaluated with other arrays than those that the next round would train from."""

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """The task that clients are evaluated with, and recommend with."""


@runtime_checkable
class GrowingArrays(Protocol):
    """Sends arrays whose length follows from what clients have added up.

    Attributes:
        growing: their names; of the others a device knows the shape beforehand.
    """

    growing: ClassVar[frozenset[str]]

    def fits(self, shared: Mapping[str, Tensor], setting: Setting) -> bool:
        """Whether these arrays belong together and point to nothing but items."""


@runtime_checkable
class WarmStart(Protocol):
    """Takes less than all of its memory into a run that goes on from another one's."""

    def warm_start(self, fresh: State, before: State) -> State:
        """The server's memory before the first round; what is counted anew begins fresh."""


@runtime_checkable
class Budgeted(Protocol):
    """Becomes another model under a privacy budget."""

    def for_budget(self, budget: Budget, setting: Setting) -> Algorithm:
        """The form of this model for a budget."""


@runtime_checkable
class Adaptive(Protocol):
    """Has settings that follow from the data where nobody sets them, its federation's too."""

    derived_keys: ClassVar[frozenset[str]]
    """By ``table.key`` of an experiment."""

    def derive(self, facts: DataFacts, given: Mapping[str, Any]) -> tuple[Derived, ...]:
        """Each of the keys that is not given, in the order in which they follow.

        Args:
            facts: of the data.
            given: all other settings by ``table.key``; ``federation.cohort`` in clients.
        """


@runtime_checkable
class PlansReleases(Protocol):
    """Uploads different things in different rounds."""

    def releases(self, rounds: int) -> tuple[Release, ...]:
        """What clients upload in which of the rounds."""

    def rationale(self) -> tuple[str, ...]:
        """Why this form was chosen for its budget, a line for each part of the model."""


@runtime_checkable
class IntegerUploads(Protocol):
    """Uploads whole numbers, which travel in few bits."""

    @property
    def integer_bounds(self) -> dict[str, int]:
        """Uploaded arrays of whole numbers from 0, and the most that one client adds to each."""


@runtime_checkable
class MatrixUploads(Protocol):
    """Uploads flat arrays that hold matrices, which may travel with a low rank."""

    def matrices(self, task: Task) -> dict[str, tuple[Matrix, ...]]:
        """Where flat arrays of the answers to a task hold matrices, by the arrays' names."""


@runtime_checkable
class ItemViews(Protocol):
    """Uploads arrays whose item rows are not plain to see."""

    def item_views(
        self, arrays: dict[str, Tensor], setting: Setting, round_number: int
    ) -> dict[str, Tensor]:
        """Views of each client's arrays by what they are, so that item rows can be told.

        Args:
            arrays: each ``[clients, ...]``.
            setting: the federation.
            round_number: in which they were sent.

        Returns:
            ``[clients, ...]``; one whose second axis is ``items`` holds a row for each item. All
            are views but what has no rows to view.
        """


@runtime_checkable
class Judging(Protocol):
    """Knows what no honest client would upload."""

    def is_feasible(self, report: Report, setting: Setting) -> bool:
        """Whether an honest client could have sent this, beyond its form; asked of one client."""


@runtime_checkable
class ReadsItemText(Protocol):
    """May need the embedded titles of items."""

    @property
    def asks_for_item_text(self) -> bool:
        """Whether `Setting.item_text` is needed; embedding all titles takes a while."""


def asks_all_clients(algorithm: Algorithm, round_number: int) -> bool:
    """See `AsksAllClients`; by default every round asks its cohort."""
    return isinstance(algorithm, AsksAllClients) and algorithm.asks_all_clients(round_number)


def stacked_bytes(algorithm: Algorithm, counts: Tensor, items: int, number: int) -> Tensor | None:
    """See `Stackable`; by default chunks are as they are set."""
    if not isinstance(algorithm, Stackable):
        return None
    return algorithm.stacked_bytes(counts, items, number)


def parts(algorithm: Algorithm, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
    """See `Blended`; by default the scores are the one part."""
    if isinstance(algorithm, Blended):
        return algorithm.parts(task, inputs, private)
    return algorithm.score(task, inputs, private)[None]


def contributions(
    algorithm: Algorithm, setting: Setting, task: Task, inputs: ClientBatch, private: Private
) -> dict[str, Tensor]:
    """See `Explained`; by default the score is all there is."""
    if isinstance(algorithm, Explained):
        return algorithm.contributions(setting, task, inputs, private)
    return {algorithm.kind: algorithm.score(task, inputs, private)}


def blended(
    algorithm: Algorithm, task: Task, inputs: ClientBatch, parts: Tensor, weights: Tensor
) -> Tensor:
    """See `Blended`; by default the weighted sum."""
    if isinstance(algorithm, Blended):
        return algorithm.blended(task, inputs, parts, weights)
    return weighted(parts, weights)


def scoring_task(algorithm: Algorithm, state: State, clients: Tensor, round_number: int) -> Task:
    """See `ScoringTask`; by default what the server would send in that round."""
    if isinstance(algorithm, ScoringTask):
        return algorithm.scoring_task(state, clients, round_number)
    return algorithm.broadcast(state, clients, round_number)


def warm_start(algorithm: Algorithm, fresh: State, before: State) -> State:
    """See `WarmStart`; by default all arrays that are still of the same form."""
    if isinstance(algorithm, WarmStart):
        return algorithm.warm_start(fresh, before)
    same = {n: v for n, v in before.items() if n in fresh and v.shape == fresh[n].shape}
    return fresh | same


def for_budget(algorithm: Algorithm, budget: Budget, setting: Setting) -> Algorithm:
    """See `Budgeted`; by default the same model."""
    return algorithm.for_budget(budget, setting) if isinstance(algorithm, Budgeted) else algorithm


def releases(algorithm: Algorithm, rounds: int) -> tuple[Release, ...]:
    """See `PlansReleases`; by default one update a round."""
    if isinstance(algorithm, PlansReleases):
        return algorithm.releases(rounds)
    return (Release("update", 1, rounds),)


def rationale(algorithm: Algorithm) -> tuple[str, ...]:
    """See `PlansReleases`; by default nothing was chosen."""
    return algorithm.rationale() if isinstance(algorithm, PlansReleases) else ()


def integer_bounds(algorithm: Algorithm) -> dict[str, int]:
    """See `IntegerUploads`; by default there are none."""
    return algorithm.integer_bounds if isinstance(algorithm, IntegerUploads) else {}


def matrices(algorithm: Algorithm, task: Task) -> dict[str, tuple[Matrix, ...]]:
    """See `MatrixUploads`; by default there are none."""
    return algorithm.matrices(task) if isinstance(algorithm, MatrixUploads) else {}


def item_views(
    algorithm: Algorithm, arrays: dict[str, Tensor], setting: Setting, round_number: int
) -> dict[str, Tensor]:
    """See `ItemViews`; by default the arrays are what they seem."""
    if isinstance(algorithm, ItemViews):
        return algorithm.item_views(arrays, setting, round_number)
    return arrays


def is_feasible(algorithm: Algorithm, report: Report, setting: Setting) -> bool:
    """See `Judging`; by default whatever has the right form may be honest."""
    return not isinstance(algorithm, Judging) or algorithm.is_feasible(report, setting)


def asks_for_item_text(algorithm: Algorithm) -> bool:
    """See `ReadsItemText`; by default no titles are embedded."""
    return isinstance(algorithm, ReadsItemText) and algorithm.asks_for_item_text
