"""Tasks and replies as the parts of an envelope.

A task has two parts. The first is the same for every node, so that an engine that stores equal
arrays once stores it once; it leaves out the arrays that a node has already. The second is the
node's own. An item table that all clients share goes into the first, where `federation.codec` alone
would write it out for each client.
"""

import hashlib
from dataclasses import replace

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ufgraphfr.core.arrays.tables import SharedTable
from ufgraphfr.core.messages import Report, Task
from ufgraphfr.deploy.wire.message import Malformed
from ufgraphfr.federation import codec

SHARED_TABLE = "same."
"""Prefix of the tables that all clients share."""
MIN_CACHED_BYTES = 2**16
"""Smaller arrays are sent every time."""
UNREADABLE = (
    *(SafetensorError, KeyError, TypeError, ValueError, RuntimeError, IndexError),
    # a number that should be whole is infinite
    OverflowError,
)
"""What reading bytes that are no message may raise."""


def shared_arrays(task: Task) -> dict[str, Tensor]:
    """What a task holds for all clients alike."""
    common = {name: tables.common() for name, tables in task.personal.items()}
    return task.shared | {SHARED_TABLE + name: v for name, v in common.items() if v is not None}


def encode_personal(task: Task) -> bytes:
    """What a task holds for each of its clients."""
    personal = {name: v for name, v in task.personal.items() if v.common() is None}
    return codec.encode_task(replace(task, shared={}, personal=personal))


def decode_task(arrays: dict[str, Tensor], personal: bytes) -> Task:
    """A task from `shared_arrays` and `encode_personal`.

    Raises:
        Malformed: the second part is not that of a task.
    """
    try:
        task = codec.decode_task(personal)
    except UNREADABLE:
        raise Malformed("the part is not that of a task") from None
    if task.clients.dim() != 1 or task.shared:
        raise Malformed("the part is not that of a task")
    shared = {name: v for name, v in arrays.items() if not name.startswith(SHARED_TABLE)}
    tables = {
        name.removeprefix(SHARED_TABLE): SharedTable(value, len(task.clients))
        for name, value in arrays.items()
        if name.startswith(SHARED_TABLE)
    }
    return replace(task, shared=shared, personal=task.personal | tables)


def decode_report(payload: bytes) -> Report:
    """The report in a reply.

    Raises:
        Malformed: the bytes are none.
    """
    try:
        return codec.decode_report(payload)
    except UNREADABLE:
        raise Malformed("the part is not a report") from None


def is_large(value: Tensor) -> bool:
    """Whether a node caches an array, so that it need not be sent again."""
    return value.numel() * value.element_size() >= MIN_CACHED_BYTES


def digest(value: Tensor) -> str:
    """SHA-256 of an array, its dtype and its shape."""
    found = hashlib.sha256()
    for piece in codec.pieces({"array": value}):
        found.update(piece)
    return found.hexdigest()


def encode_arrays(arrays: dict[str, Tensor]) -> bytes:
    """Named arrays."""
    return b"".join(codec.pieces(arrays))


def decode_arrays(payload: bytes) -> dict[str, Tensor]:
    """Named arrays.

    Raises:
        Malformed: the bytes are none.
    """
    try:
        return load(payload)
    except UNREADABLE:
        raise Malformed("the part holds no arrays") from None
