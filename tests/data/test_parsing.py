"""A quote that is wrong spoils its own row and no other; lists of items a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.files import File
from ufgraphfr.data.parsing import parse, parse_lists
from ufgraphfr.data.tables import Layout, Table

CSV = Layout(separator=",", quoted=True)
ROWS = [f"r{n},x{n},song {n}" for n in range(8)]


def read(lines: list[str], layout: Layout = CSV) -> Table:
    return parse(File("t.csv", "\n".join(["who,what,name", *lines, ""]).encode()), layout)


def kept(table: Table) -> list[str]:
    return table.good("skip")[0]["who"].to_list()


@pytest.mark.parametrize(
    ("spoilt", "rule"),
    [
        ('r3,x3,"song 3', "the quote that opens here is never closed"),
        ('r3,"x3,song 3', "the quote that opens here is never closed"),
        ('"r3" or so,x3,song 3', "text stands after the closing quote of the quote that opens"),
        ('r3, x3, "song" 3', "text stands after the closing quote of the quote that opens"),
    ],
)
def test_a_stray_quote_is_named_and_costs_one_row(spoilt, rule):
    table = read([*ROWS[:3], spoilt, *ROWS[4:]])
    with pytest.raises(InputError, match=rf"t\.csv, line 5: {rule}.*\(1 bad in all\).*on_bad_row"):
        table.good("error")
    assert kept(table) == [f"r{n}" for n in range(8) if n != 3]


def test_a_quote_that_another_one_closes_later_is_named_where_it_opens():
    table = read([*ROWS[:2], 'r2,x2,"song 2', *ROWS[3:6], 'r6,x6,song "6"', ROWS[7]])
    with pytest.raises(InputError, match=r"line 4: text stands after the closing quote 4 lines"):
        table.good("error")
    frame, bad = table.good("skip")
    assert frame["who"].to_list() == [f"r{n}" for n in range(8) if n != 2]
    assert frame["name"][5] == 'song "6"'
    assert bad == 1


def test_the_line_is_that_of_the_quote_and_not_of_its_row():
    table = read(['r0,"two\nlines","stray', *ROWS[1:3]])
    with pytest.raises(InputError, match=r"t\.csv, line 3: the quote that opens here"):
        table.good("error")


def test_a_stray_quote_in_the_header_is_no_header():
    text = 'who,"what\n' + "\n".join(ROWS)
    with pytest.raises(InputError, match=r"t\.csv, line 1: the quote that opens here"):
        parse(File("t.csv", text.encode()), CSV)


def test_fields_over_several_lines_are_counted():
    table = read(['r0,x0,"one\ntwo\nthree"', *ROWS[1:], 'r8,x8,"a\nb"'])
    assert table.notes == ("t.csv: 2 rows go over several lines, the longest over 3 from line 2",)
    assert table.good("error")[0].height == 9


def test_a_field_may_be_as_long_as_it_is():
    long = "x" * 200_000
    assert read([f'r0,x0,"{long}"']).good("error")[0]["name"].to_list() == [long]


@given(
    st.lists(
        st.tuples(*[st.text(st.sampled_from('ab ,"\n'), min_size=1, max_size=6)] * 2), min_size=1
    ),
    st.sampled_from(",;|"),
)
def test_what_is_quoted_by_the_rules_is_read_back(rows, separator):
    def quoted(value: str) -> str:
        return '"' + value.replace('"', '""') + '"'

    lines = [separator.join(map(quoted, row)) for row in rows]
    text = "\n".join([f"a{separator}b", *lines])
    table = parse(File("t.csv", text.encode()), Layout(separator=separator, quoted=True))
    stripped = [tuple(value.strip() for value in row) for row in rows]
    assert table.good("error")[0].rows() == stripped


def test_spaces_around_values_are_none_of_them():
    for last in ("x 1", '"x 1"', '" x 1 "'):
        table = parse(File("t.csv", f" who , what\n u1 , {last}\n".encode()), CSV)
        assert table.good("error")[0].to_dicts() == [{"who": "u1", "what": "x 1"}]


def test_columns_are_numbered_where_there_is_no_header():
    table = parse(File("t", b"a,b\nc,d\n"), Layout(separator=",", numbered=True))
    assert table.good("error")[0].to_dicts() == [{"1": "a", "2": "b"}, {"1": "c", "2": "d"}]


def test_typed_headers_say_what_has_several_values():
    text = b"id:token\tname:token_seq\tsize:float_seq\tx_seq\n1\ta b\t1 2\ty\n"
    table = parse(File("a.item", text), Layout())
    assert table.typed
    assert table.several == {"name": " ", "size": " "}


def test_lists_become_rows_that_know_their_line():
    text = b"a 1 2  3\r\n\nb\nc\t4 \n"
    table = parse_lists(File("l.txt", text), Layout(separator=" "), "user", "item")
    rows = table.frame.select("__line__", "user", "item").rows()
    assert rows == [(1, "a", "1"), (1, "a", "2"), (1, "a", "3"), (4, "c", "4")]
    assert table.notes == ("l.txt: 1 users have no items (the first in line 3)",)
    comma = parse_lists(File("l.txt", b"a,1,x y\n"), Layout(separator=","), "user", "item")
    assert comma.good("error")[0].rows() == [("a", "1"), ("a", "x y")]
    with pytest.raises(InputError, match="holds no rows"):
        parse_lists(File("l.txt", b"a\nb\n"), Layout(separator=" "), "user", "item")
