"""``recommend`` and ``compare`` on finished runs."""

import json

import pytest


@pytest.fixture
def folder(cli, toy, tmp_path):
    out = tmp_path / "first"
    assert cli("run", toy, "--out", out, "--quiet").code == 0
    return out


def test_titles_and_scores_for_people(cli, folder):
    ended = cli("recommend", folder, "--user", "u1", "-n", 3)
    assert ended.code == 0
    assert ended.err == ""
    assert "user u1: 20 items; the latest 10:" in ended.out
    listed = ended.out.partition("recommended next")[2]
    rows = [line.split() for line in listed.splitlines() if "picture" in line]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    scores = [float(row[-1]) for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_json_for_programs(cli, folder):
    ended = cli("recommend", folder, "--user", "u1", "--json")
    found = json.loads(ended.out)
    assert set(found) == {"user", "trained", "history", "unknown", "recommended"}
    assert len(found["recommended"]) == 10
    assert set(found["recommended"][0]) == {"item", "title", "score"}
    titles = {item["title"] for item in found["recommended"]}
    assert not titles & set(found["history"]), "nothing seen is recommended"


def test_users_that_never_trained_get_recommendations(cli, folder):
    for number in range(30):
        found = json.loads(cli("recommend", folder, "--user", f"u{number}", "--json").out)
        assert len(found["history"]) == 20
        titles = {item["title"] for item in found["recommended"]}
        assert len(titles) == 10
        assert not titles & set(found["history"])


def test_an_unknown_user_is_named(cli, folder):
    ended = cli("recommend", folder, "--user", "u111")
    assert ended.code == 2
    assert "error: no user 'u111' in this run: did you mean 'u11'?" in ended.err


def test_brackets_in_a_title_are_not_markup(cli, tmp_path):
    rows = [f"{user},{(user + step) % 6}" for user in range(6) for step in range(4)]
    (tmp_path / "likes.csv").write_text("\n".join(("user,item", *rows)))
    titles = [f"{item},Film {item} [bold] [/red]" for item in range(6)]
    (tmp_path / "films.csv").write_text("\n".join(("item,title", *titles)))
    file = tmp_path / "own.toml"
    file.write_text(
        '[data]\nkind = "table"\ninteractions = "likes.csv"\nitems = "films.csv"\n'
        '[text]\nkind = "hashing"\n[algorithm]\nkind = "popularity"\n'
    )
    assert cli("run", file, "--out", tmp_path / "own", "--quiet").code == 0
    ended = cli("recommend", tmp_path / "own", "--user", "0")
    assert ended.code == 0
    assert ended.out.count("[bold] [/red]") == 6


def test_compare_shows_metrics_and_differences(cli, toy, folder, tmp_path):
    changes = {
        "ease": ("--set", "algorithm={kind='ease'}"),
        "leaky": ("--set", "protocol.negatives=legacy-leaky"),
        "second": ("--seed", 4),
    }
    for name, words in changes.items():
        assert cli("run", toy, "--out", tmp_path / name, "--quiet", *words).code == 0
    ended = cli("compare", folder, *(tmp_path / name for name in changes))
    assert ended.code == 0
    assert max(len(line.rstrip()) for line in ended.out.splitlines()) <= 80
    lines = [line.strip() for line in ended.out.splitlines()]
    assert any(line.startswith("first (2)") for line in lines), "two seeds, one row"
    assert any(line.startswith("leaky leaky (1)") for line in lines)
    assert "±" in ended.out
    (ease,) = [line.split() for line in lines if line.startswith("ease ") and " to " in line]
    assert float(ease[1]) > 0
    assert any("other protocol" in line for line in lines)
    assert "a claim needs at least 5 seeds" in ended.out


def test_compare_shows_the_metrics_asked_for(cli, folder):
    ended = cli("compare", folder, "--metric", "recall@3", "--metric", "auc")
    assert ended.code == 0, ended.err
    headings = next(line for line in ended.out.splitlines() if "RECALL@3" in line)
    assert headings.split() == ["run", "(seeds)", *["RECALL@3", "AUC"] * 2]
    refused = cli("compare", folder, "--metric", "recal@3")
    assert refused.code == 2
    assert "did you mean 'recall@10'?" in refused.err


def test_compare_may_ask_sparse_users_alone(cli, folder):
    ended = cli("compare", folder, "--at-most", "30")
    assert ended.code == 0
    assert "of users with at most 30 known items" in ended.out
    refused = cli("compare", folder, "--at-most", "1")
    assert refused.code == 2


def test_one_run_alone_has_no_differences(cli, folder):
    ended = cli("compare", folder)
    assert ended.code == 0
    assert "bootstrap" not in ended.out


def test_who_did_not_train_is_told(cli, tmp_path):
    rows = [f"{user},{(user + step) % 6}" for user in range(6) for step in range(4)]
    (tmp_path / "likes.csv").write_text("\n".join(("user,item", *rows, "ann,3", "ann,9")))
    file = tmp_path / "own.toml"
    file.write_text(
        '[data]\nkind = "table"\ninteractions = "likes.csv"\n'
        '[text]\nkind = "hashing"\n[algorithm]\nkind = "popularity"\n'
    )
    out = tmp_path / "run"
    assert cli("run", file, "--out", out, "--quiet").code == 0
    ended = cli("recommend", out, "--user", "ann")
    assert ended.code == 0
    assert "not among those who trained" in ended.out
    assert "items that nobody who trained has, which say nothing: 1" in ended.out
    found = json.loads(cli("recommend", out, "--user", "ann", "--json").out)
    assert (found["trained"], found["history"], found["unknown"]) == (False, ["3"], ["9"])
    assert "not among" not in cli("recommend", out, "--user", "1").out
