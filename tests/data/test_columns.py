"""Columns come back as they were written."""

import numpy as np
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet, write_parquet


def test_round_trip_keeps_values_and_types(tmp_path):
    columns = {
        "user": np.arange(5),
        "rank": np.array([1.5, np.inf, np.nan, -0.0, 2.0]),
        "small": np.arange(5, dtype=np.int32),
        "score": np.ones(5, np.float32),
        "cold": np.array([True, False, True, False, True]),
    }
    path = tmp_path / "run" / "ranks.parquet"
    write_parquet(path, columns)
    back = read_parquet(path)
    assert list(back) == list(columns)
    for name, values in columns.items():
        assert back[name].dtype == values.dtype
        np.testing.assert_array_equal(back[name], values)


def test_a_second_write_replaces_the_first(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, {"x": np.zeros(3)})
    write_parquet(path, {"y": np.ones(1)})
    assert list(read_parquet(path)) == ["y"]
    assert list(tmp_path.iterdir()) == [path]


def test_columns_of_different_lengths_write_nothing(tmp_path):
    with pytest.raises(ValueError, match="differ in length"):
        write_parquet(tmp_path / "a.parquet", {"x": np.zeros(3), "y": np.zeros(2)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, b"not parquet"])
def test_no_parquet_is_named(tmp_path, content):
    path = tmp_path / "a.parquet"
    if content:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet as Parquet"):
        read_parquet(path)
