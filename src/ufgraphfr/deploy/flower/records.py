"""Packed envelopes as Flower's records: one array of bytes a chunk, never pickle."""

from flwr.app import Array, ArrayRecord, RecordDict

CHUNKS = "chunks"


def to_record(chunks: list[bytes]) -> RecordDict:
    """A record of an envelope's header and parts; equal parts are stored once by the engine."""
    arrays = {
        str(index): Array("uint8", (len(chunk),), "bytes", chunk)
        for index, chunk in enumerate(chunks)
    }
    return RecordDict({CHUNKS: ArrayRecord(arrays)})


def from_record(record: RecordDict) -> list[bytes]:
    """The chunks of a record; none if it holds no envelope."""
    arrays: dict[str, Array] = dict(record.array_records.get(CHUNKS, {}).items())
    names = [str(index) for index in range(len(arrays))]
    if len(record) != 1 or set(arrays) != set(names):
        return []
    return [bytes(arrays[name].data) for name in names]
