"""What separates fields is seen from the file, unless it is said."""

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.opening import Opening


def opened(tmp_path, name: str, text: str, **said) -> list[tuple[str, ...]]:
    (tmp_path / name).write_text(text)
    return Opening(**said).table(tmp_path, name).good("error")[0].rows()


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.txt", "a.dat"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_seen(tmp_path, name, separator):
    text = f"a{separator}b\n1{separator}2,5\n3{separator}4\n".replace(
        "2,5", '"2,5"' if name.lower() == "a.csv" else "2"
    )
    second = "2,5" if name.lower() == "a.csv" else "2"
    assert opened(tmp_path, name, text) == [("1", second), ("3", "4")]


def test_decimal_commas_do_not_separate(tmp_path):
    text = "1;2;3,5\n1;3;4,5\n"
    assert opened(tmp_path, "a.csv", text, header=False) == [("1", "2", "3,5"), ("1", "3", "4,5")]


def test_double_colons_and_spaces_are_seen(tmp_path):
    assert opened(tmp_path, "a.dat", "u::i\n1::Se7en: x\n") == [("1", "Se7en: x")]
    assert opened(tmp_path, "a.txt", "u i\n1 2\n") == [("1", "2")]


def test_what_is_seen_is_told_where_it_is_not_the_usual(tmp_path):
    (tmp_path / "a.csv").write_text("a;b\n1;2\n")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    notes = Opening().table(tmp_path, "a.csv").notes
    assert notes == (f"{tmp_path / 'a.csv'}: fields are separated by ;",)
    assert Opening().table(tmp_path, "b.csv").notes == ()
    assert Opening(separator=";").table(tmp_path, "a.csv").notes == ()


def test_any_suffix_is_read_where_the_separator_is_said(tmp_path):
    assert opened(tmp_path, "a.log", "a~b\n1~2\n", separator="~") == [("1", "2")]
    with pytest.raises(InputError, match=r"a\.log is of no known format: .*\[data\] separator"):
        Opening().table(tmp_path, "a.log")


def test_quotes_are_those_of_csv_files_unless_it_is_said(tmp_path):
    text = 'a\tb\n"x\ty"\t2\n'
    assert opened(tmp_path, "a.tsv", text, quotes="csv") == [("x\ty", "2")]
    title = 'a\tb\n"Weird" Al\t2\n'
    assert opened(tmp_path, "a.tsv", title) == [('"Weird" Al', "2")]
    assert opened(tmp_path, "a.csv", 'a,b\n"x,1\n', quotes="none") == [('"x', "1")]
