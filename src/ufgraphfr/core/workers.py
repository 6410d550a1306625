"""Processes that share the work of one run; ``torchrun`` starts them, torch.distributed joins them.

Every worker runs the same program on the same data and keeps the same server. What differs is whose
devices it simulates: a client is its own if the client's number, modulo the number of workers, is
the worker's. What is added up over clients is added up over workers, so that all go on alike.
What must happen once (noise, payments, draws from the operating system, files) the first one does.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from ufgraphfr.core.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """This process among the workers of a run.

    Attributes:
        rank: its number, from 0.
        size: how many there are; 1 is a run as usual, and nothing is exchanged.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it does what must happen once."""
        return self.rank == 0

    def own(self, clients: Tensor) -> Tensor:
        """Places of the clients that this worker simulates, int64, ascending."""
        if self.size == 1:
            return torch.arange(len(clients), device=clients.device)
        return (clients % self.size == self.rank).nonzero()[:, 0]

    def total(self, value: Tensor) -> Tensor:
        """The sum over workers of an array that has one shape on all; the argument is changed."""
        if self.size > 1:
            with _told():
                torch.distributed.all_reduce(value)
        return value

    def gathered(self, value: T) -> list[T]:
        """What each worker has, in their order."""
        found: list[Any] = [value] * self.size
        if self.size > 1:
            with _told():
                torch.distributed.all_gather_object(found, value)
        return found

    def first(self, value: T) -> T:
        """What the first worker has."""
        return self.once(lambda: value)

    def once(self, make: Callable[[], T]) -> T:
        """What the first worker makes; the others are told."""
        made = [make() if self.is_first else None]
        if self.size > 1:
            with _told():
                torch.distributed.broadcast_object_list(made)
        return made[0]  # type: ignore[return-value]  # the first worker's


def workers() -> Workers:
    """This process among the workers of the run: alone, unless `joined`."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return Workers(torch.distributed.get_rank(), torch.distributed.get_world_size())
    return Workers()


@contextmanager
def joined() -> Iterator[Workers]:
    """Join the workers that ``torchrun`` has started, if it has; in the end leave them."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Workers()
        return
    # arrays on GPUs travel by NCCL
    gpu = ",cuda:nccl" if torch.cuda.is_available() else ""
    torch.distributed.init_process_group(f"cpu:gloo{gpu}")
    try:
        yield workers()
    finally:
        torch.distributed.destroy_process_group()


def local_rank() -> int:
    """The number of this worker on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def _told() -> Iterator[None]:
    """Say in words that another worker is gone."""
    try:
        yield
    except RuntimeError as error:
        # gloo says first where in its source, and then much more
        reason = str(error).partition("] ")[2].partition(". ")[0] or type(error).__name__
        raise InputError(
            f"another worker of this run is gone ({reason}): nothing that was written is lost; "
            f"start again with --resume, with as many workers as you like"
        ) from None
