"""What is missing is no value, and whole numbers read as such."""

import pytest

from ufgraphfr.data.missing import MISSING, plain, present

GAPS = [None, "nan", "NaN", "NA", "N/A", "n/a", "None", "null", "\\N", "-"]


@pytest.mark.parametrize("gap", GAPS)
def test_gaps_are_no_value(gap):
    assert plain(gap) == ""
    assert plain(f" {gap or ''} ") == ""


@pytest.mark.parametrize("value", ["none", "Nan Goldin", "Nonet", "0", "-1", "a-b", "Nullarbor"])
def test_what_only_resembles_a_gap_is_a_value(value):
    assert plain(value) == value


@pytest.mark.parametrize(
    ("value", "written"), [("31.0", "31"), ("-4.00", "-4"), ("3.50", "3.50"), ("1.0.0", "1.0.0")]
)
def test_whole_numbers_have_no_decimals(value, written):
    assert plain(value) == written


def test_present_keeps_the_order_of_what_is_there():
    assert present(("War", "", "NaN", "2.0", "Drama")) == ("War", "2", "Drama")
    assert present(MISSING) == ()


@pytest.mark.parametrize(
    ("value", "written"),
    [('canada"', "canada"), ('"14', "14"), ('"', ""), ('a "b" c', 'a "b" c'), ('5"x7', '5"x7')],
)
def test_a_quotation_mark_at_one_end_alone_is_taken_off(value, written):
    assert plain(value) == written
