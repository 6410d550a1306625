"""Tasks and answers as the parts of an envelope.

A task has two parts. The first is the same for every node, so that an engine that stores equal
arrays once stores it once; the second is the node's own. An item table that all clients share
goes into the first, where `federation.codec` alone would write it out for each client.
"""

from dataclasses import replace

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ufgraphfr.core.messages import Report, Task
from ufgraphfr.core.tables import SharedTable, Tables
from ufgraphfr.deploy.envelope import Malformed
from ufgraphfr.federation import codec

SAME = "same."
MOST_PACKED = 2**16
"""Larger whole numbers travel as they are."""
NOBODY = torch.zeros(0, dtype=torch.int64)


def encode_task(task: Task) -> tuple[bytes, bytes]:
    """The part that is the same for every node, and the node's own."""
    tables = {name: v for name, v in task.personal.items() if isinstance(v, SharedTable)}
    same = task.shared | {SAME + name: value.table for name, value in tables.items()}
    own = {name: value for name, value in task.personal.items() if name not in tables}
    return (
        codec.encode_task(Task(task.round, NOBODY, same, {})),
        codec.encode_task(replace(task, shared={}, personal=own)),
    )


def decode_task(same: bytes, own: bytes) -> Task:
    """A task from its two parts.

    Raises:
        Malformed: they are not the parts of one task.
    """
    try:
        first, second = codec.decode_task(same), codec.decode_task(own)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, IndexError):
        raise Malformed("the parts are not a task") from None
    if first.round != second.round or second.clients.dim() != 1:
        raise Malformed("the parts are not those of one task")
    shared = {name: v for name, v in first.shared.items() if not name.startswith(SAME)}
    tables: dict[str, Tensor | Tables] = {
        name.removeprefix(SAME): SharedTable(value, len(second.clients))
        for name, value in first.shared.items()
        if name.startswith(SAME)
    }
    return replace(second, shared=shared, personal=second.personal | tables)


def encode_report(report: Report, whole: dict[str, int]) -> bytes:
    """A report; whole numbers in the bits that a sum over so many clients needs.

    Args:
        report: of a shard's clients.
        whole: the most that one client adds to each array of whole numbers.
    """
    packed = {n: most for n, most in whole.items() if most * len(report.clients) < MOST_PACKED}
    return codec.encode_report(report, packed)


def encode_arrays(arrays: dict[str, Tensor]) -> bytes:
    """Named arrays."""
    return save(arrays)


def decode_arrays(payload: bytes) -> dict[str, Tensor]:
    """Named arrays.

    Raises:
        Malformed: the bytes are none.
    """
    try:
        return load(payload)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
        raise Malformed("the part holds no arrays") from None
