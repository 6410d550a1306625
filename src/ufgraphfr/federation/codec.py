"""Messages as bytes (safetensors): named arrays, never pickle, nothing else.

Item tables and changed rows are written out dense: which rows a client touched is its history.
The prefix of a name says what it was: ``shared/``, ``personal/``, ``tables/``, ``rows/``,
``own/``, ``coarse/`` (levels on a grid, their bits in the name), ``whole/`` (small whole
numbers, likewise).
"""

import math

import torch
from safetensors.torch import load, save
from torch import Tensor

from ufgraphfr.core.arrays import bit_packing as bits
from ufgraphfr.core.arrays.low_rank import LowRank
from ufgraphfr.core.arrays.quantised import BLOCK, Quantised
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import DenseTables, Tables
from ufgraphfr.core.messages import Report, Task, Uploaded


def encode_task(task: Task) -> bytes:
    """A task as bytes."""
    arrays = {"round": torch.tensor(task.round), "clients": task.clients}
    arrays |= {f"shared/{name}": value for name, value in task.shared.items()}
    for name, value in task.personal.items():
        if isinstance(value, Tables):
            arrays[f"tables/{name}"] = value.dense()
        else:
            arrays[f"personal/{name}"] = value
    return _save(arrays)


def decode_task(payload: bytes) -> Task:
    """A task from its bytes."""
    arrays = load(payload)
    personal: dict[str, Tensor | Tables] = dict(_under("personal/", arrays))
    personal |= {name: DenseTables(value) for name, value in _under("tables/", arrays).items()}
    return Task(int(arrays["round"]), arrays["clients"], _under("shared/", arrays), personal)


def encode_report(report: Report, whole: dict[str, int] | None = None) -> bytes:
    """A report as bytes.

    Args:
        report: what clients answer.
        whole: names of whole numbers from 0, and the most that one client adds to each; they
            take no more bits than that needs.
    """
    arrays = {
        "round": torch.tensor(report.round),
        "clients": report.clients,
        "loss": report.loss,
        "summed": torch.tensor(report.summed),
    }
    for name, sent in report.arrays.items():
        value = sent.numbers if isinstance(sent, LowRank) else sent
        if isinstance(sent, LowRank):
            arrays[f"low/{name}"] = torch.tensor([(sent.rank, sent.size, 0), *sent.matrices])
        if isinstance(value, Rows):
            arrays[f"rows/{name}"] = value.dense()
        elif isinstance(value, Quantised):
            most = 2 ** (value.bits - 1) - 1
            packed = bits.pack(value.levels.flatten() + most, value.bits)
            arrays[f"coarse/{value.bits}/{name}"] = packed
            arrays[f"scale/{name}"] = value.scale
            arrays[f"shape/{name}"] = torch.tensor(value.shape)
            if value.blocks is not None:
                arrays[f"blocks/{name}"] = value.blocks
        elif (width := _width(name, report, whole)) <= bits.MOST:
            arrays[f"whole/{width}/{name}"] = bits.pack(value, width)
            arrays[f"count/{name}"] = torch.tensor(len(value))
        else:
            arrays[f"own/{name}"] = value
    return _save(arrays)


def _width(name: str, report: Report, whole: dict[str, int] | None) -> int:
    """Bits of each of these numbers; more than are packed if they are not small whole ones."""
    if whole is None or name not in whole:
        return bits.MOST + 1
    return bits.width(whole[name] * len(report.clients))


def decode_report(payload: bytes) -> Report:
    """A report from its bytes; rows that are zero throughout are dropped again."""
    arrays = load(payload)
    values: dict[str, Uploaded] = dict(_under("own/", arrays))
    values |= {name: Rows.of(value) for name, value in _under("rows/", arrays).items()}
    for label, packed in _under("whole/", arrays).items():
        width, name = label.split("/", 1)
        values[name] = bits.unpack(packed, int(width), int(arrays[f"count/{name}"]))
    for label, packed in _under("coarse/", arrays).items():
        width, name = label.split("/", 1)
        values[name] = _grid(packed, int(width), name, arrays)
    for name, layout in _under("low/", arrays).items():
        values[name] = _low_rank(values[name], layout)
    return Report(
        int(arrays["round"]), arrays["clients"], values, bool(arrays["summed"]), arrays["loss"]
    )


def _low_rank(numbers: Uploaded, layout: Tensor) -> LowRank:
    (rank, size, _), *matrices = map(tuple, layout.tolist())
    if not isinstance(numbers, Tensor | Quantised):
        raise TypeError("factors of matrices are numbers")
    return LowRank(numbers, rank, tuple(matrices), size)


def _grid(packed: Tensor, width: int, name: str, arrays: dict[str, Tensor]) -> Quantised:
    scale, blocks = arrays[f"scale/{name}"], arrays.get(f"blocks/{name}")
    sizes = tuple(arrays[f"shape/{name}"].tolist())
    count = math.prod(sizes) if blocks is None else len(blocks) * BLOCK
    levels = bits.unpack(packed, width, len(scale) * count) - (2 ** (width - 1) - 1)
    return Quantised(levels.to(torch.int8).view(len(scale), count), scale, width, sizes, blocks)


def _save(arrays: dict[str, Tensor]) -> bytes:
    for name, value in arrays.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"'{name}' is a {type(value).__name__}: only arrays may travel")
    found, memories = dict[str, Tensor](), set[int]()
    for name, value in arrays.items():
        whole = value.cpu().contiguous()
        memory = whole.untyped_storage().data_ptr()
        # the format refuses two names for one memory
        found[name] = whole.clone() if memory in memories else whole
        memories.add(memory)
    return save(found)


def _under(prefix: str, arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
