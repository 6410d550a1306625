"""Tasks and answers as the parts of an envelope.

A task has two parts. The first is the same for every node, so that an engine that stores equal
arrays once stores it once, and leaves out the arrays that a node has already; the second is the
node's own. An item table that all clients share goes into the first, where `federation.codec` alone
would write it out for each client.
"""

import hashlib
from dataclasses import replace

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ufgraphfr.core.arrays.tables import SharedTable
from ufgraphfr.core.messages import Task
from ufgraphfr.deploy.wire.message import Malformed
from ufgraphfr.federation import codec

SAME = "same."
LEAST_KEPT = 2**16
"""Bytes."""


def shared_arrays(task: Task) -> dict[str, Tensor]:
    """What a task holds for all clients alike."""
    common = {name: tables.common() for name, tables in task.personal.items()}
    return task.shared | {SAME + name: v for name, v in common.items() if v is not None}


def encode_own(task: Task) -> bytes:
    """What a task holds for each of its clients."""
    own = {name: v for name, v in task.personal.items() if v.common() is None}
    return codec.encode_task(replace(task, shared={}, personal=own))


def decode_task(same: dict[str, Tensor], own: bytes) -> Task:
    """A task from what all clients share and what is each one's own.

    Raises:
        Malformed: the second part is not that of a task.
    """
    try:
        task = codec.decode_task(own)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, IndexError):
        raise Malformed("the part is not that of a task") from None
    if task.clients.dim() != 1 or task.shared:
        raise Malformed("the part is not that of a task")
    shared = {name: v for name, v in same.items() if not name.startswith(SAME)}
    tables = {
        name.removeprefix(SAME): SharedTable(value, len(task.clients))
        for name, value in same.items()
        if name.startswith(SAME)
    }
    return replace(task, shared=shared, personal=task.personal | tables)


def is_large(value: Tensor) -> bool:
    """Whether an array is worth keeping where it was sent; smaller ones are sent every time."""
    return value.numel() * value.element_size() >= LEAST_KEPT


def digest(value: Tensor) -> str:
    """SHA-256 of an array, its kind and its shape."""
    return hashlib.sha256(encode_arrays({"array": value})).hexdigest()


def encode_arrays(arrays: dict[str, Tensor]) -> bytes:
    """Named arrays."""
    # copies, because the format refuses two names for one memory
    return save({name: value.cpu().contiguous().clone() for name, value in arrays.items()})


def decode_arrays(payload: bytes) -> dict[str, Tensor]:
    """Named arrays.

    Raises:
        Malformed: the bytes are none.
    """
    try:
        return load(payload)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
        raise Malformed("the part holds no arrays") from None
