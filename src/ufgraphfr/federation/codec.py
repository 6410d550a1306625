"""Messages as bytes (safetensors): named arrays, never pickle, nothing else.

Item tables and changed rows are written out dense: which rows a client touched is its history.
The prefix of a name says what it was: ``shared/``, ``tables/``, ``rows/``, ``own/``, ``coarse/``
(levels on a grid, their bits in the name), ``low/`` (where factors of matrices lie), ``whole/``
(small whole numbers, their bits likewise). Sums over clients have no clients axis here.
"""

import json
import math
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from ufgraphfr.core.arrays import bit_packing as bits
from ufgraphfr.core.arrays.cells import Cells
from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.low_rank import LowRank
from ufgraphfr.core.arrays.protocol import Array
from ufgraphfr.core.arrays.quantised import Quantised
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import DenseTables
from ufgraphfr.core.messages import Aggregation, Report, Task

_KINDS = {
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float32: "F32",
    torch.float64: "F64",
}
"""What the format calls types of numbers."""


def encode_task(task: Task) -> bytes:
    """A task as bytes, without its ``aggregation``."""
    arrays = {"round": torch.tensor(task.round), "clients": task.clients}
    arrays |= {f"shared/{name}": value for name, value in task.shared.items()}
    arrays |= {f"tables/{name}": tables.dense() for name, tables in task.personal.items()}
    return _save(arrays)


def decode_task(payload: bytes, aggregation: Aggregation = Aggregation.PER_CLIENT) -> Task:
    """A task from its bytes.

    Args:
        payload: what `encode_task` made.
        aggregation: what the reply must be, as was agreed on.
    """
    arrays = load(payload)
    personal = {name: DenseTables(value) for name, value in _under("tables/", arrays).items()}
    return Task(
        int(arrays["round"]),
        arrays["clients"],
        _under("shared/", arrays),
        {**personal},
        aggregation=aggregation,
    )


def encode_report(report: Report, largest: dict[str, int] | None = None) -> bytes:
    """A report as bytes.

    Args:
        report: what clients reply.
        largest: names of summed whole numbers from 0, and the most that one client adds to each;
            they take no more bits than that needs.
    """
    summed = report.aggregation is Aggregation.SUM
    arrays = {
        "round": torch.tensor(report.round),
        "clients": report.clients,
        "loss": report.loss,
        "summed": torch.tensor(summed),
    }
    for name, value in report.arrays.items():
        parts = value.encoded(name)
        if summed and parts.keys() == {f"own/{name}"}:
            total = parts[f"own/{name}"][0]
            most = (largest or {}).get(name, 2**bits.MOST) * len(report.clients)
            small = bits.width(most) <= bits.MOST and _is_flat_and_whole(total)
            parts = _packed(name, total, bits.width(most)) if small else {f"own/{name}": total}
        arrays |= parts
    return _save(arrays)


def report_size(report: Report, largest: dict[str, int] | None = None) -> int:
    """How many bytes `encode_report` makes of it.

    A sum over a large catalogue's pairs is written out for that, and is sparse here: its bytes are
    counted instead.
    """
    sparse = {name: value for name, value in report.arrays.items() if isinstance(value, Cells)}
    if report.aggregation is not Aggregation.SUM or not sparse:
        return len(encode_report(report, largest))
    rest = {name: value for name, value in report.arrays.items() if name not in sparse}
    tensors = load(encode_report(replace(report, arrays=rest), largest))
    sizes = {name: (value.dtype, tuple(value.shape)) for name, value in tensors.items()}
    for name, value in sparse.items():
        (count,) = value.entries.shape[1:]
        most = (largest or {}).get(name, 2**bits.MOST) * len(report.clients)
        width = bits.width(most)
        if width > bits.MOST or value.values.is_floating_point():
            sizes[f"own/{name}"] = value.values.dtype, (count,)
            continue
        sizes[f"whole/{width}/{name}"] = torch.uint8, (-(-count * width // 8),)
        sizes[f"count/{name}"] = torch.int64, ()
    return _saved_size(sizes)


def _saved_size(arrays: dict[str, tuple[torch.dtype, tuple[int, ...]]]) -> int:
    """Bytes of a safetensors file: a length, a header padded to eight bytes, the numbers."""
    header, first = dict[str, Any](), 0
    # as the format lays them out: wide types first, then by name
    for name, (kind, shape) in sorted(
        arrays.items(), key=lambda one: (-one[1][0].itemsize, one[0])
    ):
        last = first + kind.itemsize * math.prod(shape)
        header[name] = {"dtype": _KINDS[kind], "shape": shape, "data_offsets": (first, last)}
        first = last
    text = len(json.dumps(header, separators=(",", ":")).encode())
    return 8 + -(-text // 8) * 8 + first


def _is_flat_and_whole(total: Tensor) -> bool:
    return total.dim() == 1 and not total.is_floating_point()


def _packed(name: str, total: Tensor, width: int) -> dict[str, Tensor]:
    packed = bits.pack(total, width)
    return {f"whole/{width}/{name}": packed, f"count/{name}": torch.tensor(len(total))}


def decode_report(payload: bytes) -> Report:
    """A report from its bytes; rows that are zero throughout are dropped again."""
    arrays = load(payload)
    values = dict[str, Array]()
    aggregation = Aggregation.SUM if bool(arrays["summed"]) else Aggregation.PER_CLIENT
    layouts = _under("low/", arrays)
    for name, value in _under("own/", arrays).items():
        # factors have a row for each client, or one
        summed = aggregation is Aggregation.SUM and name not in layouts
        values[name] = Dense(value[None] if summed else value)
    values |= {name: Rows.of(value) for name, value in _under("rows/", arrays).items()}
    for label, packed in _under("whole/", arrays).items():
        width, name = label.split("/", 1)
        values[name] = Dense(bits.unpack(packed, int(width), int(arrays[f"count/{name}"]))[None])
    for label, packed in _under("coarse/", arrays).items():
        width, name = label.split("/", 1)
        shape = tuple(arrays[f"shape/{name}"].tolist())
        scale, blocks = arrays[f"scale/{name}"], arrays.get(f"blocks/{name}")
        values[name] = Quantised.decoded(packed, int(width), scale, shape, blocks)
    for name, layout in layouts.items():
        (rank, size, _), *matrices = map(tuple, layout.tolist())
        values[name] = LowRank(values[name], rank, tuple(matrices), size)
    return Report(int(arrays["round"]), arrays["clients"], values, aggregation, arrays["loss"])


def _save(arrays: dict[str, Tensor]) -> bytes:
    for name, value in arrays.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"'{name}' is a {type(value).__name__}: only arrays may travel")
    saved, memories = dict[str, Tensor](), set[int]()
    for name, value in arrays.items():
        whole = value.cpu().contiguous()
        memory = whole.untyped_storage().data_ptr()
        # the format refuses two names for one memory
        saved[name] = whole.clone() if memory in memories else whole
        memories.add(memory)
    return save(saved)


def _under(prefix: str, arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
