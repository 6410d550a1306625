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
