"""The largest tensor that some code makes: what proves that nothing of that size was ever held."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LargestTensor(TorchDispatchMode):
    """Watches every operation of torch while it is entered.

    Attributes:
        numbers: that the largest dense result holds in memory; broadcast axes take none.
    """

    def __init__(self) -> None:
        """Nothing was made so far."""
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See `TorchDispatchMode`."""
        made = func(*args, **(kwargs or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor) and not value.is_sparse:
                held = value.untyped_storage().nbytes() // value.element_size()
                self.numbers = max(self.numbers, min(held, value.numel()))
        return made
