"""``new`` writes an experiment that can be described; ``data describe`` shows its facts."""

import json
import tomllib

import pytest

from ufgraphfr.baselines.ease import Ease
from ufgraphfr.experiment.estimate import estimate


@pytest.fixture
def tables(tmp_path):
    """Four users (one short) of three to eight items; times tie on two rows of each of three."""
    rows = ["userId,movieId,rating,timestamp"]
    for user, items in ((1, 8), (2, 3), (3, 3), (4, 2)):
        stamps = (1_500_000_000 + 86_400 * max(item - 1, 0) for item in range(items))
        rows += [f"{user},{item},{1 + item % 2},{stamp}" for item, stamp in enumerate(stamps)]
    (tmp_path / "ratings.csv").write_text("\n".join([*rows, "1,0,2,1600000000"]))
    (tmp_path / "users.csv").write_text("id,job\n1,baker\n2,nurse\n")
    titles = [f"{item},Film {item},Drama" for item in range(7)]
    (tmp_path / "items.csv").write_text("\n".join(["movieId,title,genre", *titles]))
    return tmp_path


def new(cli, folder, *words, name="ratings.csv"):
    return cli("new", folder / "sub" / "my.toml", "--interactions", folder / name, *words)


def test_each_guess_is_said_and_written_beside_its_key(cli, tables):
    users, items = tables / "users.csv", tables / "items.csv"
    ended = new(cli, tables, "--users", users, "--items", items)
    assert ended.code == 0, ended.err
    text = (tables / "sub" / "my.toml").read_text()
    values = tomllib.loads(text)["data"]
    assert values["interactions"] == "../ratings.csv"
    assert values["columns"] == {
        "user": "userId",
        "item": "movieId",
        "timestamp": "timestamp",
        "rating": "rating",
        "user_key": "id",
        "title": "title",
    }
    for key, column in values["columns"].items():
        said = f"{key} is the column '{column}' of "
        assert said in ended.out
        assert f"# {said}" in text
    for command in ("data describe", "run"):
        assert f"ufgraphfr {command} {tables / 'sub' / 'my.toml'}" in ended.out


def test_what_is_written_is_described(cli, tables, monkeypatch):
    users, items = tables / "users.csv", tables / "items.csv"
    assert new(cli, tables, "--users", users, "--items", items).code == 0
    monkeypatch.chdir(tables / "sub")
    facts = json.loads(cli("data", "describe", "my.toml", "--json").out)
    assert facts["found"] == {"users": 3, "items": 8, "interactions": 14}
    assert facts["cleaning"]["dropped_users"] == 1
    assert facts["cleaning"]["repeated_pairs"] == 1
    assert facts["per_user"]["median"] == 3
    assert facts["per_user"]["max"] == 8
    assert facts["time"]["tied_rows"] == 6
    assert facts["time"]["tied_users"] == 2
    assert facts["time"]["first_date"] == "2017-07-14"
    assert facts["ratings"] == {"1": 9, "2": 8}
    assert facts["rows_read"] == 17
    assert facts["joins"] == {
        "users_with_profile": 2,
        "items_with_title": 7,
        "items_with_features": 7,
    }
    assert facts["feature_columns"] == {"genre": 7}
    assert "The user's job is baker." in facts["sentences"]
    (unordered, few, every) = facts["warnings"]
    # two of three users' last two items are ordered by a tie
    assert unordered.startswith("the order of a user's interactions means nothing")
    assert few.startswith("a user has 4.7 interactions")
    assert every.startswith("a user has every item")
    shown = cli("data", "describe", "my.toml").out
    for text in (
        "of a user",
        "2017-07-14",
        "6 rows (43%) tie",
        "job is nurse",
        "estimate",
        "rows read",
    ):
        assert text in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_table_is_described_by_its_file(cli, tables):
    facts = json.loads(cli("data", "describe", tables / "ratings.csv", "--json").out)
    assert facts["found"]["users"] == 3
    assert (
        "user is the column 'userId' of ratings.csv (guessed from the header)" in facts["guesses"]
    )
    assert any("same sentence" in warning for warning in facts["warnings"])


def test_a_date_in_several_columns_is_found_and_a_day_of_a_month_is_no_time(cli, tables):
    names = "userId,movieId,day,Month,YEAR"
    rows = [f"{user},{item},{item + 1},{12 - user},2020" for user in (1, 2) for item in range(4)]
    (tables / "dated.csv").write_text("\n".join([names, *rows]))
    ended = new(cli, tables, name="dated.csv")
    assert ended.code == 0, ended.err
    text = (tables / "sub" / "my.toml").read_text()
    assert tomllib.loads(text)["data"]["columns"]["timestamp"] == ["YEAR", "Month", "day"]
    assert "timestamp is the columns YEAR, Month, day of dated.csv" in ended.out
    facts = json.loads(cli("data", "describe", tables / "sub" / "my.toml", "--json").out)
    assert facts["time"]["first_date"] == "2020-10-01"
    assert facts["time"]["last_date"] == "2020-11-04"
    (tables / "sub" / "my.toml").unlink()
    (tables / "dated.csv").write_text("\n".join([names.replace("YEAR", "era"), *rows]))
    assert "no column of dated.csv is known to be a time" in new(cli, tables, name="dated.csv").out


def test_without_times_the_order_is_said_to_mean_nothing(cli, tables):
    rows = [f"{user},{item}" for user in range(3) for item in range(5)]
    (tables / "likes.csv").write_text("\n".join(["who,what", *rows]))
    columns = ("--set", "columns.user=who", "--set", "columns.item=what")
    ended = new(cli, tables, *columns, name="likes.csv")
    assert "order means nothing" in ended.out
    facts = json.loads(cli("data", "describe", tables / "sub" / "my.toml", "--json").out)
    assert facts["time"] is None
    assert facts["ratings"] is None
    assert any("order of a user's interactions means nothing" in w for w in facts["warnings"])


ABROAD = "Kunde;Film;Note;Zeit\n" + "".join(
    f"Jürgen {user};Käse {item};{item},5;{item + 1:02}.03.2024 20:15\n"
    for user in range(3)
    for item in range(5)
)
SAID = [
    f"--set={text}"
    for text in (
        *("columns.user=Kunde", "columns.item=Film", "columns.timestamp=Zeit"),
        *("columns.rating=Note", "time_format=%d.%m.%Y %H:%M", "encoding=cp1252"),
    )
]


def test_a_table_of_elsewhere_is_read_as_it_is_said(cli, tables):
    (tables / "fern.csv").write_text(ABROAD, encoding="cp1252")
    direct = cli("data", "describe", tables / "fern.csv", *SAID, "--json")
    assert direct.code == 0, direct.err
    ended = new(cli, tables, *SAID, name="fern.csv")
    assert ended.code == 0, ended.err
    values = tomllib.loads((tables / "sub" / "my.toml").read_text())["data"]
    assert values["encoding"] == "cp1252"
    assert values["time_format"] == "%d.%m.%Y %H:%M"
    assert values["columns"]["user"] == "Kunde"
    facts = json.loads(cli("data", "describe", tables / "sub" / "my.toml", "--json").out)
    assert facts["found"] == {"users": 3, "items": 5, "interactions": 15}
    assert facts["ratings"]["1.5"] == 3
    assert any("decimal commas, so '0,5' is read as 0.5" in note for note in facts["notes"])
    assert facts["time"]["first_date"] == "2024-03-01"
    assert json.loads(direct.out)["digest"] == facts["digest"]


def test_text_of_two_bytes_a_letter_is_known_by_its_mark(cli, tables):
    text = ABROAD.replace("Kunde", "user").replace("Film", "item").replace(";", "\t")
    (tables / "excel.txt").write_text(text, encoding="utf-16")
    ended = new(cli, tables, name="excel.txt")
    assert ended.code == 0, ended.err
    facts = json.loads(cli("data", "describe", tables / "sub" / "my.toml", "--json").out)
    assert facts["found"] == {"users": 3, "items": 5, "interactions": 15}


def test_lists_have_no_columns_to_guess(cli, tables):
    (tables / "lists.txt").write_text("\n".join(f"{user} 1 2 3 {user + 4}" for user in range(3)))
    ended = new(cli, tables, "--set", "layout=list", name="lists.txt")
    assert ended.code == 0, ended.err
    text = (tables / "sub" / "my.toml").read_text()
    assert 'layout = "list"' in text
    assert "[data.columns]" not in text
    assert cli("data", "describe", tables / "sub" / "my.toml").code == 0


def test_tables_beside_and_features_are_set_like_any_other_key(cli, tables, monkeypatch):
    monkeypatch.chdir(tables)
    said = ("--set", "users=users.csv", "--set", "items=items.csv", "--set", "features.genre=label")
    facts = json.loads(cli("data", "describe", "ratings.csv", *said, "--json").out)
    assert facts["joins"]["users_with_profile"] == 2
    assert facts["joins"]["items_with_title"] == 7
    assert any("user_key is the column 'id'" in guess for guess in facts["guesses"])
    ended = cli("new", "my.toml", "--interactions", "ratings.csv", *said)
    assert ended.code == 0, ended.err
    values = tomllib.loads((tables / "my.toml").read_text())["data"]
    assert values["features"] == {"genre": "label"}
    assert values["users"] == "users.csv"


def test_many_ties_are_warned_of(cli, tables):
    rows = [f"{user},{item + user},7" for user in range(3) for item in range(5)]
    (tables / "tied.csv").write_text("\n".join(["user,item,time", *rows]))
    facts = json.loads(cli("data", "describe", tables / "tied.csv", "--json").out)
    assert facts["time"]["tied_rows"] == 15
    assert any(warning.startswith("100% of the rows tie") for warning in facts["warnings"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--interactions", "users.csv"), "known to be the user"),
        (("--interactions", "users.csv"), "--set columns.user=COLUMN"),
        (("--set", "columns.item=film"), "no column 'film'"),
        (("--users", "odd.csv"), "--set columns.user_key=COLUMN"),
        (("--set", "columns.title=x"), "--items"),
        (("--set", "columns.user_key=x"), "--users"),
        (("--set", "colums.user=x"), "did you mean 'columns'"),
        (("--set", "encoding=utf-9"), "no encoding is called so"),
        (("--set", "columns=3"), "columns = 3"),
        (("--set", "users=3"), "users = 3"),
        (("--set", "interactions=users.csv"), "ratings.csv is the table"),
        (("--set", "encoding"), "write KEY=VALUE"),
        (("--interactions", "none.csv"), "none.csv"),
    ],
)
def test_what_cannot_be_guessed_is_refused(cli, tables, monkeypatch, words, message):
    monkeypatch.chdir(tables)
    (tables / "odd.csv").write_text("number,job\n1,baker\n")
    named = () if "--interactions" in words else ("--interactions", "ratings.csv")
    ended = cli("new", "my.toml", *named, *words)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert not (tables / "my.toml").exists()


def test_an_existing_file_is_never_overwritten(cli, tables, monkeypatch):
    monkeypatch.chdir(tables)
    (tables / "my.toml").write_text("seed = 1\n")
    assert cli("new", "my.toml", "--interactions", "ratings.csv").code == 2
    assert (tables / "my.toml").read_text() == "seed = 1\n"
    assert cli("new", "my.txt", "--interactions", "ratings.csv").code == 2


def test_a_header_with_a_line_break_stays_within_its_comment(cli, tables):
    rows = ["1,1", "1,2", "1,3"]
    (tables / "odd.csv").write_text("\n".join(['"user\n\\id",item', *rows]))
    ended = new(cli, tables, name="odd.csv")
    assert ended.code == 0, ended.err
    values = tomllib.loads((tables / "sub" / "my.toml").read_text())
    assert values["data"]["columns"]["user"] == "user\n\\id"


def test_settings_that_follow_from_the_data_are_shown_and_written(cli, tables):
    ended = new(cli, tables)
    assert ended.code == 0, ended.err
    text = (tables / "sub" / "my.toml").read_text()
    shown = cli("data", "describe", tables / "ratings.csv").out
    for line in ("federation.cohort = 3: all users", "algorithm.dim = 64: 14 interactions"):
        assert f"# {line}" in text
        assert line in shown
    # they follow again, when the tables have grown
    assert "federation" not in tomllib.loads(text)


def test_baselines_that_do_not_fit_are_not_asked_for(cli, tables, monkeypatch):
    assert new(cli, tables).code == 0
    file = tables / "sub" / "my.toml"
    asked = tomllib.loads(file.read_text())["evaluation"]["baselines"]
    assert asked == ["popularity", "ease", "closed-forms"]
    file.unlink()
    monkeypatch.setattr(Ease, "estimated_bytes", lambda *_: 10**15)
    assert new(cli, tables).code == 0
    text = file.read_text()
    assert tomllib.loads(text)["evaluation"]["baselines"] == ["popularity", "closed-forms"]
    assert "# ease is left out: it needs too much memory" in text


def test_the_graph_of_a_large_catalogue_is_sparse():
    dense, sparse = estimate(1_000, 5_000, 50_000), estimate(1_000, 5_001, 50_000)
    assert (dense.graph, sparse.graph) == ("dense", "sparse")
    assert dense.graph_bytes == 5_000**2 * 4 * 6
    assert sparse.memory_bytes < dense.memory_bytes


def test_the_estimate_counts_both_tables_of_item_vectors_where_there_is_a_lightgcn():
    with_it, without = (estimate(1000, items, 100_000).trained_bytes for items in (5000, 5001))
    # weights, gradient and two moments of 64 numbers an item
    assert with_it - without == pytest.approx(5000 * 64 * 4 * 4, rel=0.01)


def test_a_large_dense_graph_is_warned_of(cli, tables, monkeypatch):
    words = ("data", "describe", tables / "ratings.csv", "--json")
    assert not [w for w in json.loads(cli(*words).out)["warnings"] if "dense_items" in w]
    monkeypatch.setattr("ufgraphfr.cli.data.LARGE", 8 * 8 * 4 * 5 - 1)
    (warning,) = [w for w in json.loads(cli(*words).out)["warnings"] if "item graph" in w]
    assert "algorithm.graph.dense_items below 8" in warning


def test_notes_are_shown_once(cli, tables):
    ended = cli("data", "describe", tables / "ratings.csv")
    assert (ended.out + ended.err).count("have ties in time") == 1
