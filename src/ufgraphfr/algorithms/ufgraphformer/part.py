"""What every part of UFGraphFormer does: the one interface between the parts and the model."""

from collections.abc import Sequence

from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State, Summed, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.fusion import Scorer


class Part:
    """A part of the model; a method that a part does not define does nothing.

    Parts hold their hyper-parameters. All state is handed in and handed back, in arrays whose names
    are the part's own. They are asked in the order of the model's list, so that a part may build on
    the state and the scores of those before it.
    """

    @property
    def integer_bounds(self) -> dict[str, int]:
        """Uploaded arrays of whole numbers from 0, and the most that one client adds to each."""
        return {}

    def names(self, setting: Setting) -> tuple[str, ...]:
        """What each of the part's rows of scores is called."""
        return ()

    def state(self, setting: Setting) -> State:
        """The server's memory before the first round."""
        return {}

    def trained(self) -> frozenset[str]:
        """Arrays of the memory that rounds train, from which another run may go on."""
        return frozenset()

    def contribution(self, task: Task, batch: ClientBatch, key: Key) -> Update | None:
        """What these clients upload in answer to a task; None where it asks for nothing."""
        return None

    def collect(self, state: State, sums: Summed, round_number: int) -> State:
        """The server's memory after a round, from the sums of what the clients uploaded."""
        return state

    def shared(self, state: State) -> State:
        """What a device needs of the memory to rank."""
        return {}

    def scores(self, shared: State, inputs: ClientBatch) -> Sequence[Scorer]:
        """The part's views; none for a part without any."""
        return ()

    def finished(self, scores: Tensor, shared: State) -> Tensor:
        """Fused scores ``[..., items]``, changed where this part has a last word."""
        return scores

    def is_feasible(self, arrays: State, setting: Setting, round_number: int) -> bool:
        """Whether one honest client could have sent its arrays; see `capabilities.Judging`."""
        return True

    def item_views(self, arrays: State, setting: Setting, round_number: int) -> State:
        """All arrays, the part's own by item; see `capabilities.ItemViews`."""
        return arrays
