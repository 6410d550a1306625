"""Validation: a reply that does not fit what was asked is dropped, and the round goes on.

`check` is the one function through which every reply passes, whatever carried it. It looks at
form before content, and an error names the rule that was broken, never a value: a value may be a
person's, and an attacker learns nothing from an echo.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import is_feasible
from ufgraphfr.core.arrays.protocol import Array, ArraySpec, sized
from ufgraphfr.core.messages import Aggregation, Report

Reason = Literal[
    "bytes",
    "round",
    "client",
    "summed",
    "loss",
    "arrays",
    "dtype",
    "shape",
    "not-finite",
    "negative-count",
    "norm",
    "row",
    "implausible",
]
RULES: dict[Reason, str] = {
    "bytes": "a reply may not be larger than one that was asked for",
    "round": "a reply answers the round it was asked for",
    "client": "only a client that was asked may reply, and only once",
    "summed": "a reply is a sum over clients exactly if one was asked for",
    "loss": "the loss is one finite number for each client, or untold if nobody asked for it",
    "arrays": "a reply holds the arrays it was asked for and no others",
    "dtype": "every array has the kind of numbers it was asked for",
    "shape": "every array has the shape it was asked for",
    "not-finite": "every number is finite",
    "negative-count": "whole numbers are counts and never negative",
    "norm": "no array is longer than the cap",
    "row": "no item's row is longer than the cap",
    "implausible": "a reply is one that an honest client could have sent",
}
SLACK = 1e-4
"""Relative rounding a client may have made while clipping to a cap."""
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
class ReplySpec:
    """What the server asked for.

    Attributes:
        round: of the task.
        clients: int64 ``[clients]``, who was asked and has not replied yet.
        aggregation: what a reply is.
        arrays: the form of each array.
        loss: whether clients tell their loss; if not, it is NaN.
        norm_cap: the largest norm of a client's array, or None.
        row_cap: the largest norm of a client's item row, or None.
        algorithm, setting: judge whether one client could have sent a reply.
    """

    round: int
    clients: Tensor
    aggregation: Aggregation
    arrays: dict[str, ArraySpec]
    loss: bool = True
    norm_cap: float | None = None
    row_cap: float | None = None
    algorithm: Algorithm | None = None
    setting: Setting | None = None

    def noised(self) -> "ReplySpec":
        """The same of sums that holders have added noise to: dense, floating and of any length."""
        arrays = {name: ArraySpec(False, True, spec.shape) for name, spec in self.arrays.items()}
        free = replace(self, norm_cap=None, row_cap=None, algorithm=None, setting=None)
        return replace(free, aggregation=Aggregation.SUM, arrays=arrays)

    def without(self, clients: Tensor) -> "ReplySpec":
        """What is still to come when these have replied."""
        return replace(self, clients=self.clients[~torch.isin(self.clients, clients)])

    def most_bytes(self, clients: int) -> int:
        """The largest encoded reply of that many clients."""
        copies = 1 if self.aggregation is Aggregation.SUM else clients
        numbers = sum(max(1, sized(spec)) for spec in self.arrays.values())
        return HEADER_BYTES + 8 * (copies * numbers + 2 * clients)


def check(report: Report, expected: ReplySpec) -> None:
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
    rows = 1 if report.aggregation is Aggregation.SUM else len(report.clients)
    for name, spec in expected.arrays.items():
        value = report.arrays[name]
        _check_form(value, spec, rows)
        if spec.floating and not value.is_finite():
            raise RejectedReply("not-finite")
        if not spec.signed and bool((value.plain().values < 0).any()):
            raise RejectedReply("negative-count")
        # a sum over several clients may be as long as it likes
        if rows == len(report.clients):
            _check_caps(value, expected)
    alone = len(report.clients) == 1
    judge, setting = expected.algorithm, expected.setting
    if alone and judge and setting and not is_feasible(judge, report, setting):
        raise RejectedReply("implausible")


def check_bytes(payload: bytes, clients: int, expected: ReplySpec) -> None:
    """Refuse a payload that is too large, before it is decoded.

    Raises:
        RejectedReply: it is larger than a reply of that many clients can be.
    """
    if len(payload) > expected.most_bytes(clients):
        raise RejectedReply("bytes")


def _check_frame(report: Report, expected: ReplySpec) -> None:
    """Round, clients and loss."""
    if report.round != expected.round:
        raise RejectedReply("round")
    clients, loss = report.clients, report.loss
    if clients.dtype != torch.int64 or clients.dim() != 1 or len(clients) == 0:
        raise RejectedReply("client")
    known = bool(torch.isin(clients, expected.clients).all())
    if not known or len(clients.unique()) != len(clients):
        raise RejectedReply("client")
    if report.aggregation is not expected.aggregation:
        raise RejectedReply("summed")
    if not loss.is_floating_point() or loss.shape != clients.shape:
        raise RejectedReply("loss")
    # a loss that left float32's range is an honest sign of divergence, but nothing to learn from
    if not bool((loss.isfinite() if expected.loss else loss.isnan()).all()):
        raise RejectedReply("loss")


def _check_form(value: Array, spec: ArraySpec, rows: int) -> None:
    """All of an array but its numbers; ``rows`` is how many clients' it must hold."""
    sent = value.spec
    if _holds(sent) != _holds(spec):
        raise RejectedReply("arrays")
    broken = value.fault()
    if broken is not None:
        raise RejectedReply(broken)
    if sent.dtype != spec.dtype if spec.floating else not _is_whole(sent.dtype):
        raise RejectedReply("dtype")
    if (sent.shape, sent.bits, value.clients) != (spec.shape, spec.bits, rows):
        raise RejectedReply("shape")
    if spec.blocks is None or sent.blocks is None:
        return
    # which blocks travel is drawn for everybody: another choice could tell something
    if not torch.equal(sent.blocks, spec.blocks):
        raise RejectedReply("shape")


def _holds(spec: ArraySpec) -> tuple[object, ...]:
    """In what way an array is held."""
    return spec.rows, spec.bits > 0, spec.blocks is None, spec.layout


def _is_whole(dtype: torch.dtype) -> bool:
    return not dtype.is_floating_point and not dtype.is_complex and dtype != torch.bool


def _check_caps(value: Array, expected: ReplySpec) -> None:
    """The longest array and row of a client."""
    if expected.norm_cap is None and expected.row_cap is None:
        return
    plain = value.plain()
    rows = plain.by_item().double().norm(dim=-1)
    if expected.row_cap is not None and _over(rows, expected.row_cap):
        raise RejectedReply("row")
    squares = rows.square().flatten(1).sum(1) if rows.dim() > 1 else rows.square()
    norms = squares.new_zeros(plain.clients).index_add_(0, plain.owner, squares).sqrt()
    if expected.norm_cap is not None and _over(norms, expected.norm_cap):
        raise RejectedReply("norm")


def _over(norms: Tensor, cap: float) -> bool:
    return bool((norms > cap * (1 + SLACK)).any())
