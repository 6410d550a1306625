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


def encode_report(report: Report) -> bytes:
    """A report; whole numbers in the fewest bytes that hold them."""
    arrays = {
        name: _narrow(value) if isinstance(value, Tensor) else value
        for name, value in report.arrays.items()
    }
    return codec.encode_report(replace(report, arrays=arrays))


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


def _narrow(value: Tensor) -> Tensor:
    if value.is_floating_point() or value.numel() == 0:
        return value
    low, high = int(value.min()), int(value.max())
    kinds = (torch.uint8, torch.int16, torch.int32, torch.int64)
    fits = (k for k in kinds if torch.iinfo(k).min <= low and high <= torch.iinfo(k).max)
    return value.to(next(fits))
