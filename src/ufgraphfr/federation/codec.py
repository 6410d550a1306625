"""Messages as bytes (safetensors): named arrays, never pickle, nothing else.

Item tables and changed rows are written out dense: which rows a client touched is its history.
The prefix of a name says what it was: ``shared/``, ``tables/``, ``rows/``, ``own/``, ``coarse/``
(levels on a grid, their bits in the name), ``low/`` (where factors of matrices lie), ``whole/``
(small whole numbers, their bits likewise). Sums over clients have no clients axis here.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import load
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
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What the format calls types of numbers, in the order in which it lays them out."""


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
        count = value.size
        most = (largest or {}).get(name, 2**bits.MOST) * len(report.clients)
        width = bits.width(most)
        if width > bits.MOST or value.values.is_floating_point():
            sizes[f"own/{name}"] = value.spec.dtype, (count,)
            continue
        sizes[f"whole/{width}/{name}"] = torch.uint8, (-(-count * width // 8),)
        sizes[f"count/{name}"] = torch.int64, ()
    head, _ = _layout(sizes)
    return len(head) + sum(kind.itemsize * math.prod(shape) for kind, shape in sizes.values())


def pieces(
    arrays: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> Iterator[bytes | memoryview]:
    """What `safetensors.torch.save` makes of arrays, one after the other, without a copy of any."""
    head, order = _layout({n: (v.dtype, tuple(v.shape)) for n, v in arrays.items()}, metadata)
    yield head
    for name in order:
        yield arrays[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data


def _layout(
    arrays: dict[str, tuple[torch.dtype, tuple[int, ...]]], metadata: dict[str, str] | None = None
) -> tuple[bytes, list[str]]:
    """The head of a safetensors file, a length and JSON padded to eight bytes, and its order."""
    place = {kind: index for index, kind in enumerate(_KINDS)}
    order = sorted(arrays, key=lambda name: (place[arrays[name][0]], name))
    header, first = dict[str, Any]({"__metadata__": metadata} if metadata else {}), 0
    for name in order:
        kind, shape = arrays[name]
        last = first + kind.itemsize * math.prod(shape)
        header[name] = {"dtype": _KINDS[kind], "shape": shape, "data_offsets": (first, last)}
        first = last
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, order


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
    return b"".join(pieces(arrays))


def _under(prefix: str, arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
