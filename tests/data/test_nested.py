"""JSON lines and Parquet, whose values have types, as text."""

import io

import polars as pl
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.files import File
from ufgraphfr.data.nested import parse_json_lines, parse_parquet
from ufgraphfr.data.tables import LIST


def lines(*rows: str) -> File:
    return File("t.jsonl", "\n".join(rows).encode())


def parquet(**columns) -> File:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return File("t.parquet", buffer.getvalue())


def test_objects_become_rows_and_what_is_missing_is_null():
    table = parse_json_lines(
        lines('{"user": 7, "tags": ["a", "b"]}', "", '{"user": " x ", "new": true, "n": 1.5}'),
        "utf-8",
    )
    assert table.good("error")[0].to_dicts() == [
        {"user": "7", "tags": f"a{LIST}b", "new": None, "n": None},
        {"user": "x", "tags": None, "new": "true", "n": "1.5"},
    ]
    assert table.several == {"tags": LIST}


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ('{"user": 1', "this is no JSON"),
        ("[1, 2]", "this is no JSON object"),
        ('{"user": {"id": 1}}', "'user' holds nested values"),
        ('{"user": [[1]]}', "'user' holds nested values"),
    ],
)
def test_a_bad_line_is_named_and_costs_one_row(row, rule):
    table = parse_json_lines(lines('{"user": 1}', row, '{"user": 2}'), "utf-8")
    with pytest.raises(InputError, match=rf"t\.jsonl, line 2: {rule}.*\(1 bad in all\)"):
        table.good("error")
    assert table.good("skip")[0]["user"].to_list() == ["1", "2"]


def test_a_file_without_any_object_says_what_to_write():
    with pytest.raises(InputError, match=r"line 1: this is no JSON .*one JSON object a line"):
        parse_json_lines(lines("user,item", "1,2"), "utf-8")
    with pytest.raises(InputError, match="holds no rows"):
        parse_json_lines(lines("", ""), "utf-8")


def test_lists_are_no_ids():
    table = parse_json_lines(lines('{"user": ["a"]}'), "utf-8")
    with pytest.raises(InputError, match=r"t\.jsonl: 'user' holds lists: give flat columns"):
        table.need(["user"])


def test_whole_floats_of_parquet_are_whole_numbers():
    table = parse_parquet(
        parquet(user=[100012.0, None, 2e15], share=[0.5, 1.0, 2.0], far=[1e300, 1.0, 2.0])
    )
    frame = table.good("error")[0]
    assert frame["user"].to_list() == ["100012", None, "2000000000000000"]
    assert frame["share"].to_list() == ["0.5", "1.0", "2.0"]
    assert frame["far"][1] == "1.0"
