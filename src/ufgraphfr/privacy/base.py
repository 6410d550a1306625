"""What a privacy mechanism must offer: a half on the device and a half on the server."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report
from ufgraphfr.core.rows import Rows
from ufgraphfr.core.spec import Spec

Arrays = dict[str, Tensor | Rows]


class Mechanism(Spec, ABC):
    """A mechanism; fields are the keys of its ``[privacy]`` table."""

    guarantee: ClassVar[str]
    """What a run may claim, in words."""

    @abstractmethod
    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """On the device: each client's update ``[clients, ...]`` before anything is summed."""

    @abstractmethod
    def finalize(self, report: Report, key: Key) -> Report:
        """On the server: the combined report of a round, before the algorithm sees it."""
