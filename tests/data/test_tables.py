"""Text tables: every way a row can be wrong is named."""

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.files import File
from ufgraphfr.data.nested import parse_parquet
from ufgraphfr.data.parsing import parse
from ufgraphfr.data.tables import Layout

CSV = Layout(separator=",", quoted=True)


def table(text, layout=CSV):
    data = text if isinstance(text, bytes) else text.encode()
    return parse(File("t.csv", data), layout)


def rows(text, layout=CSV):
    return table(text, layout).good("error")[0].rows()


def test_plain_and_quoted_read_the_same():
    assert rows("a,b\n1,2\n3,\n") == rows('"a",b\n"1",2\n3,""\n') == [("1", "2"), ("3", "")]


def test_quoted_fields_may_hold_separators_quotes_and_line_ends():
    text = 'a,b\n"x, ""y""","line\nbreak"\nlast,1,2\n'
    broken = table(text)
    assert broken.good("skip")[0].rows() == [('x, "y"', "line\nbreak")]
    with pytest.raises(InputError, match=r"t.csv, line 4: 3 found, 2 fields expected \(a, b\)"):
        broken.good("error")


def test_multi_character_separators_and_given_names():
    assert rows("1::Se7en: x::y\n", Layout(("a", "b", "c"), "::")) == [("1", "Se7en: x", "y")]


def test_typed_headers_lose_only_their_type():
    text = "user_id:token\ttitle:token_seq\tat:12:float\tx:y\n1\t2\t3\t4\n"
    assert table(text, Layout()).columns == ["user_id", "title", "at:12", "x:y"]


def test_byte_order_mark_is_no_part_of_the_first_column():
    assert table(b"\xef\xbb\xbfuser,b\n1,2\n").columns == ["user", "b"]


def test_too_few_and_too_many_fields():
    for text, found in (("a,b\n1,2\n1\n", 1), ("a,b\n1,2\n1,2,3\n", 3)):
        with pytest.raises(InputError, match=rf"line 3: {found} found, 2 fields expected"):
            table(text).good("error")


def test_checks_name_the_first_bad_row_and_count_all():
    checked = table("a,b\n1,2\n,3\n4,x\n4,nan\n").filled("a").numeric("b").unique("a")
    with pytest.raises(InputError, match=r"line 3: 'a' has no value \(3 bad in all\)"):
        checked.good("error")
    frame, bad = checked.good("skip")
    assert (frame.rows(), bad) == ([("1", "2")], 3)


def test_missing_columns_offer_the_nearest():
    with pytest.raises(InputError, match=r"no column 'user': did you mean 'user_id'"):
        table("user_id,x\n1,2\n").need(("user",))


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n", '"a",b\n'])
def test_no_rows(text):
    with pytest.raises(InputError, match="holds no rows"):
        table(text)


def test_a_column_twice():
    with pytest.raises(InputError, match="line 1: column 'a' twice"):
        table("a,b,a\n1,2,3\n")


def test_wrong_encoding_names_the_line():
    with pytest.raises(InputError, match="line 2: not utf-8-sig text"):
        table(b"a,b\n\xe9,1\n")


def test_what_is_not_parquet_is_refused():
    with pytest.raises(InputError, match=r"cannot read x\.parquet as Parquet"):
        parse_parquet(File("x.parquet", b"a,b\n1,2\n"))


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (["3,5", "4", "-0,125"], ["3.5", "4", "-0.125"]),
        # before thousands, or nobody knows
        (["3,500", "4"], None),
        (["3,5", "1.2,5"], None),
        (["3,5,1", "4"], None),
    ],
)
def test_decimal_commas_are_read_where_they_can_be_nothing_else(values, read):
    found = table("\n".join(["a;b", *(f"{value};x" for value in values)]), Layout(separator=";"))
    numbers = found.numeric("a")
    if read is None:
        with pytest.raises(InputError, match=r"a = '\S+' is not a number"):
            numbers.good("error")
    else:
        assert numbers.good("error")[0]["a"].to_list() == read
        (note,) = numbers.notes
        assert note == "t.csv: 'a' has decimal commas, so '3,5' is read as 3.5"
