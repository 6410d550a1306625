"""Your own table: formats, column names, templates."""

from datetime import UTC, datetime

import polars as pl
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.sources import SOURCES

LIKES = [(f"p{user}", f"t{(user + step) % 4}", step) for user in range(2) for step in range(3)]


def load(folder, **settings) -> Dataset:
    return SOURCES.build("table", {"interactions": "likes.csv"} | settings, "[data]").load(folder)


def write(folder, name, header, rows, separator=","):
    text = "\n".join(separator.join(str(value) for value in row) for row in [header, *rows])
    (folder / name).write_text(text + "\n")


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "likes.csv", ("user", "item", "timestamp"), LIKES)
    write(
        tmp_path, "people.csv", ("user", "home_town", "age"), [("p0", "Bern", 20), ("p1", "", 30)]
    )
    return tmp_path


def test_user_and_item_are_enough(folder):
    write(folder, "bare.csv", ("item", "user"), [(item, user) for user, item, _ in LIKES])
    data = load(folder, interactions="bare.csv")
    assert data.interactions.timestamp is None
    assert data.catalogue.titles == data.catalogue.items
    assert set(data.users.texts) == {"A user of the catalogue."}
    assert data.card.name == "table"


def test_all_formats_hold_the_same(folder):
    expected = load(folder).sha256
    names = ("user", "item", "timestamp")
    write(folder, "likes.tsv", names, LIKES, "\t")
    typed = ("user:token", "item:token", "timestamp:float")
    write(folder, "likes.inter", typed, LIKES, "\t")
    pl.DataFrame(LIKES, names, orient="row").write_parquet(folder / "likes.parquet")
    for suffix in ("tsv", "inter", "parquet"):
        assert load(folder, interactions=f"likes.{suffix}").sha256 == expected


def test_columns_of_other_names(folder):
    write(folder, "a.csv", ("who", "what", "when", "stars"), [(*row, 5) for row in LIKES])
    columns = {"user": "who", "item": "what", "timestamp": "when", "rating": "stars"}
    assert load(folder, interactions="a.csv", columns=columns).sha256 == load(folder).sha256


@pytest.mark.parametrize("key", ["user", "timestamp", "rating"])
def test_a_column_that_was_named_must_exist(folder, key):
    with pytest.raises(InputError, match=r"likes\.csv has no column 'usr'.*\[data\] columns"):
        load(folder, columns={key: "usr"})


def test_an_unknown_column_role_is_refused(folder):
    with pytest.raises(InputError, match=r"columns\.usr"):
        load(folder, columns={"usr": "who"})


def test_attributes_become_a_sentence_without_the_id(folder):
    data = load(folder, users="people.csv")
    assert data.users.texts == (
        "The user's home town is Bern; age is 20.",
        "The user's age is 30.",
    )
    assert data.users.profiles[0] == {"home_town": "Bern", "age": "20"}


def test_template(folder):
    data = load(folder, users="people.csv", template="Someone of {age} from {home_town}.")
    assert data.users.texts[0] == "Someone of 20 from Bern."


def test_template_errors(folder):
    with pytest.raises(InputError, match="template needs user attributes"):
        load(folder, template="{age}")
    with pytest.raises(InputError, match=r"asks for \{aeg\}: did you mean 'age'"):
        load(folder, users="people.csv", template="{aeg}")
    # ids say nothing about taste, so they are not offered
    with pytest.raises(InputError, match=r"asks for \{user\}"):
        load(folder, users="people.csv", template="{user}")


def test_items_have_titles_and_features(folder):
    rows = [("t0", "First", "new|cheap"), ("t1", "", ""), ("t2", "Third", "old")]
    write(folder, "things.csv", ("item", "name", "tag"), rows)
    data = load(folder, items="things.csv", columns={"title": "name"})
    assert dict(zip(data.catalogue.items, data.catalogue.titles, strict=True)) == {
        "t0": "First",
        "t1": "t1",
        "t2": "Third",
        "t3": "t3",
    }
    assert data.catalogue.features["tag"][:2] == (("new", "cheap"), ())
    with pytest.raises(InputError, match="no column 'nmae': did you mean 'name'"):
        load(folder, items="things.csv", columns={"title": "nmae"})


def test_parquet_rows_are_named_and_dates_kept_in_order(folder):
    frame = pl.DataFrame(LIKES, ("user", "item", "step"), orient="row")
    dates = frame.with_columns(
        timestamp=pl.lit(datetime(2020, 1, 1, tzinfo=UTC)) + pl.duration(days="step"), rating=1.5
    ).drop("step")
    dates.write_parquet(folder / "dated.parquet")
    data = load(folder, interactions="dated.parquet")
    days = [1_577_836_800_000_000 + d * 86_400_000_000 for d in (0, 1, 2)]
    for user in range(2):
        rows = data.interactions.user == user
        assert data.interactions.timestamp[rows].tolist() == days
    holes = dates.with_columns(
        rating=pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise(pl.col("rating"))
    )
    holes.write_parquet(folder / "holes.parquet")
    with pytest.raises(InputError, match=r"holes\.parquet, row 5: rating = '' is not a number"):
        load(folder, interactions="holes.parquet")


def test_nested_parquet_columns_are_refused(folder):
    pl.DataFrame({"user": [["a"]], "item": ["x"]}).write_parquet(folder / "a.parquet")
    with pytest.raises(InputError, match="flat columns"):
        load(folder, interactions="a.parquet")


def test_name_and_order_reach_the_card(folder):
    card = load(folder, name="shop", sequential=False).card
    assert (card.name, card.sequential) == ("shop", False)


def test_unknown_formats_are_refused(folder):
    (folder / "likes.xlsx").write_bytes(b"")
    with pytest.raises(InputError, match=r"likes\.xlsx is of no known format: .*\.parquet"):
        load(folder, interactions="likes.xlsx")


def test_gaps_of_a_table_are_no_values_and_are_counted(folder, caplog):
    people = {"user": ["p0", "p1"], "age": [31.0, float("nan")], "city": ["N/A", "Bern"]}
    pl.DataFrame(people).write_parquet(folder / "people.parquet")
    write(folder, "things.csv", ("item", "genre"), [("t0", "War|NaN"), ("t1", "None"), ("t2", "-")])
    with caplog.at_level("INFO"):
        data = load(folder, users="people.parquet", items="things.csv")
    assert data.users.texts == ("The user's age is 31.", "The user's city is Bern.")
    assert data.catalogue.features["genre"] == (("War",), (), (), ())
    assert "people.parquet: missing of 2 rows: age of 1, city of 1" in caplog.text
    assert "things.csv: missing of 3 rows: genre of 2" in caplog.text


def test_a_template_with_a_gap_gives_the_general_sentence(folder):
    data = load(folder, users="people.csv", template="{age}, from {home_town}.")
    assert data.users.texts == ("20, from Bern.", "The user's age is 30.")


def test_the_kind_of_a_feature_can_be_said(folder):
    write(folder, "things.csv", ("item", "title", "about"), [("t0", "Zero", "A tale of war.")])
    data = load(folder, items="things.csv", features={"about": "text"})
    assert data.catalogue.kinds == {"about": "text"}
    assert data.catalogue.words == (("A tale of war.",), (), (), ())
    with pytest.raises(InputError, match=r"data.features\] abuot: did you mean 'about'"):
        load(folder, items="things.csv", features={"abuot": "text"})
