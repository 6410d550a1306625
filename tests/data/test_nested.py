"""JSON lines and Parquet, whose values have types, as text."""

import io
import json

import polars as pl
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.files import File
from ufgraphfr.data.nested import parse_json, parse_parquet
from ufgraphfr.data.tables import LIST


def lines(*rows: str) -> File:
    return File("t.jsonl", "\n".join(rows).encode())


def parquet(**columns) -> File:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return File("t.parquet", buffer.getvalue())


def test_objects_become_rows_and_what_is_missing_is_null():
    table = parse_json(
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
    table = parse_json(lines('{"user": 1}', row, '{"user": 2}'), "utf-8")
    with pytest.raises(InputError, match=rf"t\.jsonl, line 2: {rule}.*\(1 bad in all\)"):
        table.good("error")
    assert table.good("skip")[0]["user"].to_list() == ["1", "2"]


def test_a_file_without_any_object_says_what_to_write():
    with pytest.raises(InputError, match=r"line 1: this is no JSON .*one JSON object a line"):
        parse_json(lines("user,item", "1,2"), "utf-8")
    with pytest.raises(InputError, match="holds no rows"):
        parse_json(lines("", ""), "utf-8")


NESTED = [
    {"user": {"id": 7, "at": {"city": "Ulm"}}, "tags": ["a", "b"], "carts": [{"sku": 1}]},
    {"user": {"id": 8, "at": {"city": "Bonn"}}, "tags": [], "carts": []},
]
LEFT_OUT = "'carts' is left out: in {} rows it holds lists of objects or lists"


def flat(table):
    assert table.several == {"tags": LIST}
    return table.good("error")[0].rows(named=True)


@pytest.mark.parametrize("text", [json.dumps(NESTED), "\n".join(map(json.dumps, NESTED))])
def test_objects_within_are_columns_and_lists_of_objects_are_left_out(text):
    table = parse_json(File("t.json", text.encode()), "utf-8")
    assert [{k: v or "" for k, v in row.items()} for row in flat(table)] == [
        {"user.id": "7", "user.at.city": "Ulm", "tags": f"a{LIST}b"},
        {"user.id": "8", "user.at.city": "Bonn", "tags": ""},
    ]
    assert table.notes == (f"t.json: {LEFT_OUT.format(1)}",)


def test_parquet_nests_alike():
    table = parse_parquet(parquet(**{key: [row[key] for row in NESTED] for key in NESTED[0]}))
    assert flat(table)[0] == {"user.id": "7", "user.at.city": "Ulm", "tags": f"a{LIST}b"}
    assert table.notes == (f"t.parquet: {LEFT_OUT.format(2)}",)


def test_a_list_that_is_broken_is_no_list():
    with pytest.raises(InputError, match=r"t\.jsonl begins like a list in JSON and is none"):
        parse_json(lines('[{"user": 1},', '{"user": 2}'), "utf-8")
    table = parse_json(lines('[{"user": 1}, 2, {"user": 3}]'), "utf-8")
    with pytest.raises(InputError, match=r"t\.jsonl, row 2: this is no JSON object"):
        table.good("error")


def test_lists_are_no_ids():
    table = parse_json(lines('{"user": ["a"]}'), "utf-8")
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
