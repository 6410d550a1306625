"""Packed envelopes as Flower's records: one array a chunk, of bytes, never pickle."""

from flwr.app import Array, ArrayRecord, RecordDict

CHUNKS = "chunks"


def to_record(chunks: list[bytes]) -> RecordDict:
    """A record of an envelope's header and parts; equal parts are stored once by the engine."""
    arrays = {
        str(place): Array("uint8", (len(chunk),), "bytes", chunk)
        for place, chunk in enumerate(chunks)
    }
    return RecordDict({CHUNKS: ArrayRecord(arrays)})


def from_record(record: RecordDict) -> list[bytes]:
    """The chunks of a record; nothing if it holds no envelope."""
    found = record.array_records.get(CHUNKS)
    arrays: dict[str, Array] = {} if found is None else dict(found.items())
    names = [str(place) for place in range(len(arrays))]
    if len(record) != 1 or set(arrays) != set(names):
        return []
    return [bytes(arrays[name].data) for name in names]
