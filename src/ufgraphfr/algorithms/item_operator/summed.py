"""What is made of the item operator alone: nothing is trained, all comes from one sum."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.algorithms.item_operator.operator import INDEX, VALUE, OperatorSpec, is_whole
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch


class FromOperator(Algorithm):
    """A model that is known once the operator is; after its rounds there is nothing to learn."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM
    growing: ClassVar[frozenset[str]] = frozenset({INDEX, VALUE})

    operator: OperatorSpec = OperatorSpec()
    """How the operator is summed."""

    @abstractmethod
    def completed(self, state: State) -> State:
        """What follows from the whole operator."""

    def warm_start(self, fresh: State, before: State) -> State:
        """See `capabilities.WarmStart`: nothing was trained, and all is summed anew."""
        return fresh

    def fits(self, shared: Mapping[str, Tensor], setting: Setting) -> bool:
        """See `capabilities.GrowingArrays`."""
        return not shared or is_whole(shared, setting.items)

    def asks_all_clients(self, round_number: int) -> bool:
        """See `capabilities.AsksAllClients`: the operator is a sum over everybody."""
        return round_number <= self.operator.rounds

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`; clients need nothing to add to the sum."""
        return Task(round_number, clients, {}, {})

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `capabilities.ScoringTask`."""
        return Task(round_number, clients, state, {})

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`: rows of the sum; afterwards nothing."""
        if self.asks_all_clients(task.round):
            return self.operator.contribution(batch, task.round), {}
        nothing = batch.text.new_zeros(len(batch))
        return Update({"nothing": nothing[:, None]}, nothing), {}

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        if not self.asks_all_clients(report.round):
            return state
        state = state | self.operator.collect(state, report.sums, report.round)
        return state | self.completed(state) if report.round == self.operator.rounds else state
