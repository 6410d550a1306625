"""Named number columns of one length in a Parquet file, written whole or not at all."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically


def write_parquet(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write one-dimensional columns, all of one length; the folder is made where it is missing.

    Raises:
        ValueError: the columns differ in length.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns differ in length: {lengths}")
    buffer = BytesIO()
    pl.DataFrame(dict(columns)).write_parquet(buffer)
    write_atomically(path, buffer.getvalue())


def read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a file that `write_parquet` wrote, with their types.

    Raises:
        InputError: there is no such file, or it is not Parquet.
    """
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"cannot read {path} as Parquet ({error}): write it again") from None
    return {name: frame[name].to_numpy() for name in frame.columns}
