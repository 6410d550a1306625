"""The server's border: a reply that does not fit what was asked is dropped, and the round goes on.

`check` is the one function through which every reply passes, whatever carried it. It looks at
form before content, and an error names the rule that was broken, never a value: a value may be a
person's, and an attacker learns nothing from an echo.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, Task, Uploaded
from ufgraphfr.core.quantised import Quantised
from ufgraphfr.core.rows import Rows
from ufgraphfr.data.shards import Shard
from ufgraphfr.federation.client import respond
from ufgraphfr.privacy.base import Mechanism

Reason = Literal[
    "bytes", "round", "client", "summed", "loss", "arrays", "dtype", "shape", "not-finite",
    "negative-count",
]  # fmt: skip
RULES: dict[Reason, str] = {
    "bytes": "a reply may not be larger than one that was asked for",
    "round": "a reply answers the round it was asked for",
    "client": "only a client that was asked may reply, and only once",
    "summed": "a reply is a sum over clients exactly if one was asked for",
    "loss": "the loss is one finite number for each client",
    "arrays": "a reply holds the arrays it was asked for and no others",
    "dtype": "every array has the kind of numbers it was asked for",
    "shape": "every array has the shape it was asked for",
    "not-finite": "every number is finite",
    "negative-count": "whole numbers are counts and never negative",
}
HEADER_BYTES = 4096
"""Of an encoded reply, beside its numbers."""


class RejectedReply(ValueError):
    """A reply that the server does not let in.

    Attributes:
        reason: which of `RULES` it broke, for counters.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"reply rejected: {RULES[reason]}")
        self.reason: Reason = reason


@dataclass(frozen=True)
class Form:
    """What one array of a reply must look like.

    Attributes:
        rows: whether it holds changed rows of an item table.
        floating: float32; otherwise whole numbers of any width.
        shape: without a clients axis.
    """

    rows: bool
    floating: bool
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Expected:
    """What the server asked for.

    Attributes:
        round: of the task.
        clients: int64 ``[clients]``, who was asked and has not replied yet.
        summed: whether one reply may be a sum over its clients.
        arrays: the form of each array.
    """

    round: int
    clients: Tensor
    summed: bool
    arrays: dict[str, Form]

    def without(self, clients: Tensor) -> "Expected":
        """What is still to come when these have replied."""
        return replace(self, clients=self.clients[~torch.isin(self.clients, clients)])

    def most_bytes(self, clients: int) -> int:
        """The largest encoded reply of that many clients."""
        copies = 1 if self.summed else clients
        numbers = sum(max(1, torch.Size(form.shape).numel()) for form in self.arrays.values())
        return HEADER_BYTES + 8 * (copies * numbers + 2 * clients)


@dataclass(frozen=True)
class Border:
    """Knows what to expect of a client by asking itself.

    Attributes:
        algorithm, mechanism, setting: what the clients run.
    """

    algorithm: Algorithm
    mechanism: Mechanism
    setting: Setting

    def expected(self, task: Task, clients: Tensor) -> Expected:
        """What clients who are sent tasks like this one must reply.

        Args:
            task: of one client, the first of ``clients``.
            clients: int64 ``[clients]``, everybody who is asked.
        """
        invented = _invented(task, self.setting)
        private = self.algorithm.init_private(self.setting, invented)
        key = Key(0, task.round)
        specimen, _ = respond(self.algorithm, self.mechanism, task, invented, private, key)
        return Expected(
            round=task.round,
            clients=clients,
            summed=specimen.summed,
            arrays={name: _form(value, specimen.summed) for name, value in specimen.arrays.items()},
        )


def check(report: Report, expected: Expected) -> None:
    """Let a reply in, or refuse it.

    Args:
        report: what came back, of one client or of several together.
        expected: what was asked for.

    Raises:
        RejectedReply: with the first rule that the reply breaks.
    """
    _check_frame(report, expected)
    if report.arrays.keys() != expected.arrays.keys():
        raise RejectedReply("arrays")
    for name, form in expected.arrays.items():
        value = report.arrays[name]
        if isinstance(value, Rows):
            _check_rows(value, form, report)
            values = value.values
        elif isinstance(value, Tensor):
            _check_array(value, form, report)
            values = value
        else:
            raise RejectedReply("dtype")
        if form.floating and not bool(torch.isfinite(values).all()):
            raise RejectedReply("not-finite")
        if not form.floating and bool((values < 0).any()):
            raise RejectedReply("negative-count")


def check_bytes(payload: bytes, clients: int, expected: Expected) -> None:
    """Refuse a payload that is too large, before it is decoded.

    Raises:
        RejectedReply: it is larger than a reply of that many clients can be.
    """
    if len(payload) > expected.most_bytes(clients):
        raise RejectedReply("bytes")


def _check_frame(report: Report, expected: Expected) -> None:
    """Round, clients and loss."""
    if report.round != expected.round:
        raise RejectedReply("round")
    who, loss = report.clients, report.loss
    if who.dtype != torch.int64 or who.dim() != 1 or len(who) == 0:
        raise RejectedReply("client")
    known = bool(torch.isin(who, expected.clients).all())
    if not known or len(who.unique()) != len(who):
        raise RejectedReply("client")
    if report.summed is not expected.summed:
        raise RejectedReply("summed")
    # a mean that left float32's range is an honest sign of divergence, but nothing to learn from
    if not loss.is_floating_point() or loss.shape != who.shape or not loss.isfinite().all():
        raise RejectedReply("loss")


def _check_array(value: Tensor, form: Form, report: Report) -> None:
    if form.rows:
        raise RejectedReply("arrays")
    _check_dtype(value, form)
    leading = () if report.summed else (len(report.clients),)
    if tuple(value.shape) != (*leading, *form.shape):
        raise RejectedReply("shape")


def _check_rows(value: Rows, form: Form, report: Report) -> None:
    if not form.rows:
        raise RejectedReply("arrays")
    _check_dtype(value.values, form)
    flat = all(part.dtype == torch.int64 and part.dim() == 1 for part in (value.ptr, value.index))
    if not flat or value.values.dim() != 2:
        raise RejectedReply("shape")
    count = len(value.index)
    fits = (
        (value.height, value.values.shape[1]) == form.shape
        and len(value.ptr) == len(report.clients) + 1
        and len(value.values) == count
        and int(value.ptr[0]) == 0
        and int(value.ptr[-1]) == count
        and bool((value.ptr.diff() >= 0).all())
    )
    if not fits or bool(((value.index < 0) | (value.index >= value.height)).any()):
        raise RejectedReply("shape")
    cells = value.owner * value.height + value.index
    if len(cells.unique()) != count:
        raise RejectedReply("shape")


def _check_dtype(value: Tensor, form: Form) -> None:
    whole = not value.is_floating_point() and not value.is_complex() and value.dtype != torch.bool
    if (value.dtype != torch.float32) if form.floating else not whole:
        raise RejectedReply("dtype")


def _form(value: Uploaded, summed: bool) -> Form:
    if isinstance(value, Quantised):
        raise TypeError("a specimen is asked for without compression")
    if isinstance(value, Rows):
        return Form(True, True, (value.height, value.values.shape[1]))
    shape = value.shape if summed else value.shape[1:]
    return Form(False, value.is_floating_point(), tuple(shape))


def _invented(task: Task, setting: Setting) -> Shard:
    """A client that does not exist, with three items; its data are nobody's."""
    items = torch.arange(min(3, setting.items), device=task.clients.device)
    ptr = torch.tensor([0, len(items)], device=items.device)
    text = torch.full((1, setting.text_width), 1.0, device=items.device)
    text /= max(1, setting.text_width) ** 0.5
    return Shard(task.clients, ptr, items, ptr, items, text, setting.items)
