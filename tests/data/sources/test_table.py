"""Your own table: formats, column names, templates."""

import gzip
import zipfile
from datetime import UTC, datetime

import polars as pl
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.interactions import Cleaning
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.data.split import leave_one_out

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
    with pytest.raises(InputError, match=r"data\.columns\] has no key 'usr'"):
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


def test_quotation_marks_that_a_broken_export_left_are_taken_off_and_counted(folder, caplog):
    (folder / "people.csv").write_text('user,city,land\np0,Bern,"swiss"""\np1,"a ""b"" c",CH\n')
    with caplog.at_level("INFO"):
        data = load(folder, users="people.csv")
    assert data.users.texts[0] == "The user's city is Bern; land is swiss."
    assert 'city is a "b" c' in data.users.texts[1]
    assert "people.csv: 1 values have a quotation mark at one end alone: taken off" in caplog.text


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


def histories(data: Dataset) -> dict[str, list[str]]:
    split = leave_one_out(data.interactions)
    bounds = zip(split.history_ptr, split.history_ptr[1:], strict=False)
    return {
        name: [data.catalogue.items[item] for item in split.history[first:last]]
        for name, (first, last) in zip(data.users.names, bounds, strict=True)
    }


def test_times_decide_and_not_the_order_of_lines(folder):
    rows = [("p0", "t0", 1), ("p0", "t1", 2), ("p0", "t0", 3), ("p0", "t2", 4), ("p1", "t3", 1)]
    rows += [("p1", "t0", 5), ("p1", "t1", 5), ("p1", "t2", 6)]
    rows += [("p2", f"t{n}", n) for n in (3, 4, 5)]
    names = ("user", "item", "timestamp")
    write(folder, "a.csv", names, rows)
    write(folder, "b.csv", names, rows[::-1])
    one, two = (load(folder, interactions=name) for name in ("a.csv", "b.csv"))
    assert one.digest == two.digest
    assert histories(one)["p0"] == ["t0", "t1", "t2"]
    assert histories(one) == histories(two)
    told = "1 of 3 users have ties in time about their last two items: a hash of the ids decides"
    assert any(told in note for note in one.notes)
    declared = [load(folder, interactions=name, file_order=True) for name in ("a.csv", "b.csv")]
    orders = [histories(data)["p1"] for data in declared]
    assert orders == [["t3", "t0", "t1", "t2"], ["t3", "t1", "t0", "t2"]]
    assert any("the file's order decides" in note for note in declared[0].notes)


def test_where_ties_decide_most_last_items_order_means_nothing_unless_it_is_asked_for(folder):
    rows = [(f"p{user}", f"t{step}", step // 2) for user in range(3) for step in range(4)]
    rows += [("p3", f"t{step}", step) for step in range(4)]
    names = ("user", "item", "timestamp")
    write(folder, "a.csv", names, rows)
    found = load(folder, interactions="a.csv")
    assert not found.interactions.sequential
    assert not found.card.sequential
    assert any("ties in time decide what most users had last" in note for note in found.notes)
    for asked in ({"sequential": True}, {"file_order": True}):
        assert load(folder, interactions="a.csv", **asked).interactions.sequential
    # of half of the users is not of most
    write(folder, "b.csv", names, [row for row in rows if row[0] not in ("p1", "p2")])
    assert load(folder, interactions="b.csv").interactions.sequential


def test_a_date_may_stand_in_several_columns(folder):
    days = [(2020, 12, 31, 23), (2021, 1, 2, 0), (2021, 1, 10, 0), (2021, 1, 10, 5)]
    rows = [("p0", f"t{n}", *day) for n, day in enumerate(days)]
    rows += [("p1", f"t{n}", *day) for n, day in enumerate(reversed(days))]
    names = ("user", "item", "year", "month", "day", "hour")
    write(folder, "a.csv", names, rows)
    columns = {"timestamp": names[2:]}
    found = load(folder, interactions="a.csv", columns=columns)
    assert histories(found) == {"p0": ["t0", "t1", "t2", "t3"], "p1": ["t3", "t2", "t1", "t0"]}
    first = datetime(2020, 12, 31, 23, tzinfo=UTC).timestamp() * 1e6
    assert found.interactions.timestamp.min() == first
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(folder / "a.parquet")
    again = load(folder, interactions="a.parquet", columns=columns)
    assert again.digest == found.digest
    by_number = load(folder, interactions="a.csv", columns={"timestamp": [3, 4, 5, 6]})
    assert by_number.digest == found.digest
    dated = load(folder, interactions="a.csv", columns={"timestamp": names[2:5]})
    assert "p0" in histories(dated)


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        (("year", "month"), (2020, 12, 31), "3 to 6"),
        (("year", "month", "hour"), (2020, 12, 31), "hour"),
        (("year", "month", "day"), (2020, 13, 31), "line 2.*2020-13-31|line 2.*no time"),
        (("year", "month", "day"), (2020, 12, ""), "line 2.*day"),
    ],
)
def test_what_is_no_date_of_several_columns_is_told(folder, columns, row, message):
    rows = [("p0", "t0", *row), *(("p0", f"t{n}", 2021, n, 1) for n in range(1, 4))]
    write(folder, "a.csv", ("user", "item", "year", "month", "day"), rows)
    with pytest.raises(InputError, match=message):
        load(folder, interactions="a.csv", columns={"timestamp": columns})


def test_a_format_is_for_dates_of_one_column(folder):
    columns = {"timestamp": ["year", "month", "day"]}
    with pytest.raises(InputError, match="time_format is for dates of one column"):
        load(folder, interactions="a.csv", columns=columns, time_format="%d.%m.%Y")


def test_without_times_the_order_means_nothing_unless_it_is_asked_for(folder, caplog):
    rows = [(f"p{user}", f"t{(user + step) % 5}") for user in range(3) for step in range(4)]
    write(folder, "a.csv", ("user", "item"), rows)
    write(folder, "b.csv", ("user", "item"), rows[::-1])
    caplog.set_level("INFO")
    one, two = (load(folder, interactions=name) for name in ("a.csv", "b.csv"))
    assert not one.interactions.sequential
    assert one.digest == two.digest
    assert "there are no times" in caplog.text
    assert "[data] sequential = true" in caplog.text
    asked = [
        load(folder, interactions=name, sequential=True, name="t") for name in ("a.csv", "b.csv")
    ]
    assert histories(asked[0])["p0"] == histories(asked[1])["p0"][::-1] == ["t0", "t1", "t2", "t3"]
    assert load(folder).interactions.sequential


def test_ids_are_the_same_in_every_file(folder):
    rows = [(f" u{user} ", f"0{(user + step) % 4} ") for user in range(2) for step in range(3)]
    write(folder, "a.csv", ("user", " item"), rows)
    write(folder, "b.csv", ("item", "title"), [(f"0{n}", f"Book {n}") for n in range(4)])
    data = load(folder, interactions="a.csv", items="b.csv")
    assert sorted(data.users.names) == ["u0", "u1"]
    assert set(data.catalogue.titles) == {f"Book {n}" for n in range(4)}
    assert "4 of 4 items are in b.csv" in data.notes


def test_whole_numbers_with_a_point_are_whole_numbers(folder):
    rows = [(user, f"{(user + step) % 4}.0") for user in range(2) for step in range(3)]
    write(folder, "a.csv", ("user", "item"), rows)
    write(folder, "b.csv", ("item", "title"), [(n, f"Book {n}") for n in range(4)])
    data = load(folder, interactions="a.csv", items="b.csv")
    assert set(data.catalogue.titles) == {f"Book {n}" for n in range(4)}
    assert any("'item' has whole numbers, so '0.0' is read as '0'" in note for note in data.notes)
    write(folder, "a.csv", ("user", "item"), [*rows, (0, "x.0")])
    assert "0.0" in load(folder, interactions="a.csv").catalogue.items


@pytest.mark.parametrize(("key", "what"), [("items", "4 items"), ("users", "2 users")])
def test_a_table_that_fits_nothing_is_refused(folder, key, what):
    column = key[:-1]
    write(folder, "a.csv", (column, "title"), [("00", "x"), ("01", "y")])
    with pytest.raises(InputError, match=rf"0 of {what} are in a\.csv, for example '.*has '00'"):
        load(folder, **{key: "a.csv"})


def test_a_table_that_fits_some_is_counted(folder, caplog):
    write(folder, "a.csv", ("item", "title"), [("t1", "One"), ("T2", "Two")])
    data = load(folder, items="a.csv")
    told = "1 of 4 items are in a.csv; 3 items have no row, for example 't0', where a.csv has 'T2'"
    assert told in data.notes
    assert [record.levelname for record in caplog.records if told in record.message] == ["WARNING"]


def test_keys_may_be_called_otherwise_in_each_table(folder):
    write(folder, "a.csv", ("id", "name"), [("t1", "One")])
    write(folder, "b.csv", ("person", "age"), [("p1", 30)])
    columns = {"item_key": "id", "title": "name", "user_key": "person"}
    data = load(folder, items="a.csv", users="b.csv", columns=columns)
    assert "One" in data.catalogue.titles
    assert {"age": "30"} in data.users.profiles


def test_atomic_files_need_no_names_of_columns(folder):
    names = ("user_id:token", "item_id:token", "timestamp:float")
    write(folder, "a.inter", names, LIKES, "\t")
    header = ("item_id:token", "class:token_seq", "bands:float_seq", "maker:token")
    write(
        folder,
        "a.item",
        header,
        [("t0", "War Drama", "1 2", "A B"), ("t1", "Drama", "", "C")],
        "\t",
    )
    write(folder, "a.user", ("user_id:token", "likes:token_seq"), [("p0", "tea cake")], "\t")
    data = load(folder, interactions="a.inter", items="a.item", users="a.user")
    place = data.catalogue.items.index("t0")
    assert {name: values[place] for name, values in data.catalogue.features.items()} == {
        "class": ("War", "Drama"),
        "bands": ("1", "2"),
        "maker": ("A B",),
    }
    assert {"likes": "tea, cake"} in data.users.profiles
    assert data.sha256 == load(folder).sha256
    write(folder, "a.csv", ("user_id", "item_id"), [row[:2] for row in LIKES])
    with pytest.raises(InputError, match="no column 'user'"):
        load(folder, interactions="a.csv")


def test_without_a_header_columns_have_numbers(folder):
    write(folder, "a.dat", LIKES[0], LIKES[1:], "::")
    columns = {"user": 1, "item": 2, "timestamp": 3}
    data = load(folder, interactions="a.dat", header=False, columns=columns)
    assert data.sha256 == load(folder).sha256
    assert load(folder, columns=columns).sha256 == data.sha256
    with pytest.raises(InputError, match="header = false"):
        load(folder, interactions="a.dat")


def test_lists_of_items(folder):
    (folder / "a.txt").write_text("p0 t0 t1 t2\np1 t1 t2 t3\n")
    ordered = load(folder, interactions="a.txt", layout="list", sequential=True)
    assert histories(ordered) == {"p0": ["t0", "t1", "t2"], "p1": ["t1", "t2", "t3"]}
    assert not load(folder, interactions="a.txt", layout="list").interactions.sequential
    (folder / "b.txt").write_text("p0 t4\np2 t0 t1 t2\n")
    both = load(folder, interactions=["a.txt", "b.txt"], layout="list", sequential=True)
    assert histories(both)["p0"] == ["t0", "t1", "t2", "t4"]
    assert len(both.users.names) == 3
    with pytest.raises(InputError, match="has no ratings"):
        load(folder, interactions="a.txt", layout="list", min_rating=3)


def test_files_of_one_data_set_have_times_all_or_none(folder):
    write(folder, "a.csv", ("user", "item"), [row[:2] for row in LIKES])
    with pytest.raises(InputError, match="some files of interactions have times and others none"):
        load(folder, interactions=["likes.csv", "a.csv"])


def test_encodings(folder):
    text = "user,item\n" + "".join(f"é{u},t{(u + n) % 4}\n" for u in range(2) for n in range(3))
    for encoding in ("utf-8", "utf-8-sig", "latin-1", "utf-16"):
        (folder / "a.csv").write_bytes(text.encode(encoding))
        data = load(folder, interactions="a.csv", encoding=encoding)
        assert sorted(data.users.names) == ["é0", "é1"]
    (folder / "a.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"line 2: not utf-8.*encoding = \"latin-1\""):
        load(folder, interactions="a.csv")
    with pytest.raises(InputError, match=r"encoding = 'latin-99': .*no encoding is called so"):
        load(folder, encoding="latin-99")


def test_json_lines_and_archives(folder):
    rows = [f'{{"user": "{u}", "item": "{i}", "timestamp": {t}}}\n' for u, i, t in LIKES]
    (folder / "a.jsonl").write_text("".join(rows))
    assert load(folder, interactions="a.jsonl").sha256 == load(folder).sha256
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.write(folder / "a.jsonl", "in/a.jsonl")
        archive.write(folder / "likes.csv", "in/likes.csv")
    data = load(folder, interactions="a.zip/in/likes.csv")
    assert data.sha256 == load(folder).sha256


def test_ratings_and_cores_are_filters_that_are_counted(folder):
    rows = [(f"p{u}", f"t{(u + n) % 6}", n) for u in range(4) for n in range(5)]
    write(folder, "a.csv", ("user", "item", "rating"), rows)
    data = load(folder, interactions="a.csv", min_rating=2)
    assert data.cleaning.low_ratings == 8
    assert len(data.interactions) == 12
    with pytest.raises(InputError, match=r"likes\.csv has no ratings, which min_rating needs"):
        load(folder, min_rating=2)
    with pytest.raises(InputError, match=r"min_rating = 9: all 20 rows have lower ratings"):
        load(folder, interactions="a.csv", min_rating=9)
    write(folder, "a.csv", ("user", "item", "rating"), [*rows, ("p0", "rare", 1)])
    core = load(folder, interactions="a.csv", k_core=3)
    assert len(core.catalogue.items) == 6
    assert core.cleaning == Cleaning(dropped_items=1, min_item=3)
    assert load(folder, interactions="a.csv", min_item=3).cleaning == core.cleaning
    least = load(folder, interactions="a.csv", min_user=6)
    assert least.users.names == ("p0",)
    assert least.cleaning == Cleaning(dropped_users=3, min_user=6)
    with pytest.raises(InputError, match=r"nothing is left of 21 interactions .*min_item = 4"):
        load(folder, interactions="a.csv", k_core=4)


def test_a_file_beside_the_experiment_is_found_in_its_container(folder, tmp_path):
    (folder / "likes.csv.gz").write_bytes(gzip.compress((folder / "likes.csv").read_bytes()))
    (folder / "likes.csv").unlink()
    source = SOURCES.build("table", {"interactions": ["likes.csv"], "users": "people.csv"}, "")
    located = source.located(folder)
    assert located.interactions == (str(folder / "likes.csv.gz"),)
    assert located.load(tmp_path).users.profiles[0]["age"] == "20"


def test_a_folder_is_its_parquet_files(folder, tmp_path):
    """As a cluster writes a table: by the order of their names, in folders of their own."""
    names = ("user", "item", "timestamp")
    for number, rows in enumerate((LIKES[:2], LIKES[2:])):
        part = folder / "likes" / f"day={number}"
        part.mkdir(parents=True)
        (part / "_SUCCESS").touch()
        pl.DataFrame(rows, names, orient="row").write_parquet(part / "part-0.parquet")
    expected = load(folder)
    assert load(folder, interactions="likes").sha256 == expected.sha256
    source = SOURCES.build("table", {"interactions": "likes"}, "[data]").located(folder)
    assert source.interactions == str(folder / "likes")
    assert source.load(tmp_path).sha256 == expected.sha256
    split = {"interactions": ["likes", "likes.csv"], "parts": ["train", "test"]}
    assert load(folder, **split).interactions.part.tolist() == [0] * len(LIKES)


def test_a_folder_without_parquet_files_is_refused(folder):
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no \.parquet file: name one"):
        load(folder, interactions="empty")
