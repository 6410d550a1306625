"""Times become int64 and keep their order, however they are written."""

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.files import File
from ufgraphfr.data.parsing import parse
from ufgraphfr.data.tables import Layout
from ufgraphfr.data.timestamps import with_times


def times(*values, on_bad_row="error"):
    text = "a,time\n" + "".join(f"x,{value}\n" for value in values)
    table = parse(File("t.csv", text.encode()), Layout(separator=","))
    return with_times(table, "time").good(on_bad_row)[0]["time"].to_list()


def test_whole_numbers_stay():
    assert times("881250949", " 7 ", "-3") == [881250949, 7, -3]


def test_fractions_without_fraction_are_whole():
    assert times("881250949.0", "8e2") == [881250949, 800]


def test_fractions_keep_their_order():
    assert times("1.5", "1.25", "2") == [1_500_000, 1_250_000, 2_000_000]


def test_iso_dates_are_microseconds_since_1970():
    assert times("1970-01-02", "1970-01-01T00:00:01", "1970-01-01 00:00:00.5") == [
        86_400_000_000,
        1_000_000,
        500_000,
    ]


def test_offsets_are_taken_into_account():
    assert times("1970-01-01T01:00:00+01:00", "1970-01-01T00:00:00Z") == [0, 0]


@pytest.mark.parametrize(
    ("good", "bad"),
    [("5", "soon"), ("1.5", "nan"), ("2009-01-01", "2009-13-01"), ("5", "1e300"), ("5", "")],
)
def test_what_is_no_time_is_named(good, bad):
    with pytest.raises(InputError, match=r"t.csv, line 4: .*time"):
        times(good, good, bad, good)
    assert len(times(good, good, bad, good, on_bad_row="skip")) == 3


@pytest.mark.parametrize(
    ("usual", "odd"),
    [
        (1_600_000_000, 1_600_000_000_000),
        (1_600_000_000_000, 1_600_000_000),
        (1_600_000_000_000, 1_600_000_000_000_000),
        (1_600_000_000.5, 1_600_000_000_000.0),
    ],
)
def test_two_units_in_one_column_are_an_error(usual, odd):
    values = (usual, usual + 1, odd, usual + 2)
    with pytest.raises(InputError, match=r"t\.csv, line 4: .*in another unit than most times"):
        times(*values)
    assert len(times(*values, on_bad_row="skip")) == 3


@pytest.mark.parametrize(
    "values",
    [
        # dates of half a century, in each unit
        *[[unit * second for second in (10**8, 10**9, 2 * 10**9)] for unit in (1, 10**3, 10**6)],
        # what counts from the start of a study may be of any size
        [0, 5, 3_000, 90_000_000, 4_000_000_000, 200_000_000_000],
        [-1, 0, 7, 1_600_000_000],
    ],
)
def test_times_of_one_unit_may_lie_far_apart(values):
    assert times(*values) == values


def test_dates_may_lie_far_apart():
    assert times("1970-01-01T00:00:02", "2020-01-01")[0] == 2_000_000


def test_microseconds_with_a_fraction_fit():
    assert times("1600000000000000.5", "1600000000000001.25") == [
        1_600_000_000_000_000,
        1_600_000_000_000_001,
    ]


def test_a_named_format():
    text = "a,time\nx,24.12.2019 18:30\nx,01.02.2020 07:05\n"
    table = parse(File("t.csv", text.encode()), Layout(separator=","))
    stamps = with_times(table, "time", "%d.%m.%Y %H:%M").good("error")[0]["time"].to_list()
    assert stamps == [1_577_212_200_000_000, 1_580_540_700_000_000]
    for wrong in ("%d/%m/%Y", "%Q"):
        with pytest.raises(InputError, match=rf"line 2: .*is no time in the format {wrong}"):
            with_times(table, "time", wrong).good("error")
    with pytest.raises(InputError, match=r"line 2: .*\[data\] time_format names another format"):
        with_times(table, "time").good("error")
