"""The server's border: a reply that does not fit what was asked is dropped, and the round goes on.

`check` is the one function through which every reply passes, whatever carried it. It looks at
form before content, and an error names the rule that was broken, never a value: a value may be a
person's, and an attacker learns nothing from an echo.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import is_feasible
from ufgraphfr.core.arrays.low_rank import LowRank, Matrix
from ufgraphfr.core.arrays.quantised import BLOCK, Quantised
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.messages import Report

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
class ArraySpec:
    """What one array of a reply must look like.

    Attributes:
        rows: whether it holds changed rows of an item table.
        floating: floats; otherwise whole numbers of any width.
        shape: without a clients axis.
        signed: whether whole numbers may be negative, as clipped updates on a grid are; counts
            are not.
        dtype: of floats.
        bits: of a level, where floats travel on a coarse grid; 0 where they do not.
        blocks: of a coarse grid, which of its blocks travel; None for all.
        layout: of matrices as products of thin ones, whose numbers the rest describes; or None.
    """

    rows: bool
    floating: bool
    shape: tuple[int, ...]
    signed: bool = True
    dtype: torch.dtype = torch.float32
    bits: int = 0
    blocks: Tensor | None = None
    layout: tuple[int, tuple[Matrix, ...], int] | None = None


@dataclass(frozen=True)
class ReplySpec:
    """What the server asked for.

    Attributes:
        round: of the task.
        clients: int64 ``[clients]``, who was asked and has not replied yet.
        summed: whether one reply may be a sum over its clients.
        arrays: the form of each array.
        loss: whether clients tell their loss; under a guarantee it is NaN.
        norm_cap: the largest norm of a client's array, or None.
        row_cap: the largest norm of a client's item row, or None.
        algorithm, setting: judge whether one client could have sent a reply.
    """

    round: int
    clients: Tensor
    summed: bool
    arrays: dict[str, ArraySpec]
    loss: bool = True
    norm_cap: float | None = None
    row_cap: float | None = None
    algorithm: Algorithm | None = None
    setting: Setting | None = None

    def noised(self) -> "ReplySpec":
        """The same of sums that holders have added noise to: dense, floating and of any length."""
        arrays = {name: ArraySpec(False, True, form.shape) for name, form in self.arrays.items()}
        free = replace(self, norm_cap=None, row_cap=None, algorithm=None, setting=None)
        return replace(free, summed=True, arrays=arrays)

    def without(self, clients: Tensor) -> "ReplySpec":
        """What is still to come when these have replied."""
        return replace(self, clients=self.clients[~torch.isin(self.clients, clients)])

    def most_bytes(self, clients: int) -> int:
        """The largest encoded reply of that many clients."""
        copies = 1 if self.summed else clients
        numbers = sum(max(1, torch.Size(form.shape).numel()) for form in self.arrays.values())
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
    for name, form in expected.arrays.items():
        value = report.arrays[name]
        thin = value if isinstance(value, LowRank) else None
        if (thin.layout if thin else None) != form.layout:
            raise RejectedReply("arrays")
        value = value.numbers if isinstance(value, LowRank) else value
        if isinstance(value, Rows):
            _check_rows(value, form, report)
            values = value.values
        elif isinstance(value, Quantised):
            _check_coarse(value, form, report)
            values = value.scale
            value = value.dense()
        elif isinstance(value, Tensor):
            _check_array(value, form, report)
            values = value
        else:
            raise RejectedReply("dtype")
        if thin is not None:
            # finite factors may have a product that is not
            value = thin.dense()
            values = torch.cat((values.flatten(), value.flatten()))
        if form.floating and not bool(torch.isfinite(values).all()):
            raise RejectedReply("not-finite")
        if not form.signed and bool((values < 0).any()):
            raise RejectedReply("negative-count")
        _check_caps(value, report, expected)
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
    who, loss = report.clients, report.loss
    if who.dtype != torch.int64 or who.dim() != 1 or len(who) == 0:
        raise RejectedReply("client")
    known = bool(torch.isin(who, expected.clients).all())
    if not known or len(who.unique()) != len(who):
        raise RejectedReply("client")
    if report.summed is not expected.summed:
        raise RejectedReply("summed")
    if not loss.is_floating_point() or loss.shape != who.shape:
        raise RejectedReply("loss")
    # a loss that left float32's range is an honest sign of divergence, but nothing to learn from
    if not bool((loss.isfinite() if expected.loss else loss.isnan()).all()):
        raise RejectedReply("loss")


def _check_array(value: Tensor, form: ArraySpec, report: Report) -> None:
    if form.rows or form.bits:
        raise RejectedReply("arrays")
    _check_dtype(value, form)
    leading: tuple[int, ...] = (1 if report.summed else len(report.clients),)
    if report.summed and form.layout is None:
        leading = ()
    if tuple(value.shape) != (*leading, *form.shape):
        raise RejectedReply("shape")


def _check_coarse(value: Quantised, form: ArraySpec, report: Report) -> None:
    if not form.bits or (value.blocks is None) is not (form.blocks is None):
        raise RejectedReply("arrays")
    levels, scale = value.levels, value.scale
    if levels.dtype != torch.int8 or scale.dtype != torch.bfloat16:
        raise RejectedReply("dtype")
    rows, count = 1 if report.summed else len(report.clients), math.prod(form.shape)
    fits = (value.bits, tuple(value.shape)) == (form.bits, form.shape)
    if value.blocks is not None and form.blocks is not None:
        # which blocks travel is drawn for everybody: another choice could tell something
        fits = fits and value.blocks.dtype == form.blocks.dtype
        fits = fits and torch.equal(value.blocks, form.blocks)
        count = BLOCK * len(form.blocks)
    fits = fits and tuple(levels.shape) == (rows, count)
    if not fits or tuple(scale.shape) != (rows, -(-count // BLOCK)):
        raise RejectedReply("shape")
    # compared as wider numbers: the absolute value of -128 does not fit a byte
    if bool((levels.short().abs() > 2 ** (form.bits - 1) - 1).any()):
        raise RejectedReply("shape")


def _check_rows(value: Rows, form: ArraySpec, report: Report) -> None:
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


def _check_dtype(value: Tensor, form: ArraySpec) -> None:
    whole = not value.is_floating_point() and not value.is_complex() and value.dtype != torch.bool
    if (value.dtype != form.dtype) if form.floating else not whole:
        raise RejectedReply("dtype")


def _check_caps(value: Tensor | Rows, report: Report, expected: ReplySpec) -> None:
    """The longest array and row, as far as each client's can be seen."""
    if report.summed and len(report.clients) > 1:
        return
    if isinstance(value, Rows):
        squares = value.values.double().square().sum(1)
        norms = squares.new_zeros(value.clients).index_add_(0, value.owner, squares).sqrt()
        if expected.row_cap is not None and _over(squares.sqrt(), expected.row_cap):
            raise RejectedReply("row")
    else:
        flat = value[None] if report.summed else value
        norms = flat.flatten(1).double().norm(dim=1)
        wide = flat.dim() > 2
        rows = flat.flatten(2).double().norm(dim=2) if wide else flat.double().abs()
        if expected.row_cap is not None and _over(rows, expected.row_cap):
            raise RejectedReply("row")
    if expected.norm_cap is not None and _over(norms, expected.norm_cap):
        raise RejectedReply("norm")


def _over(norms: Tensor, cap: float) -> bool:
    return bool((norms > cap * (1 + SLACK)).any())
