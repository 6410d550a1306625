"""``recommend`` and ``compare`` on finished runs."""

import csv
import io
import json
import shlex

import pytest
import torch

from ufgraphfr.data import fetch


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
    assert set(found) == {"user", "trained", "history", "unknown", "notes", "recommended"}
    assert len(found["recommended"]) == 10
    assert set(found["recommended"][0]) == {"item", "title", "score", "rank"}
    titles = {item["title"] for item in found["recommended"]}
    assert not titles & {item["title"] for item in found["history"]}, "nothing seen is recommended"


def test_a_time_is_a_date_or_seconds_and_else_refused(cli, folder):
    asked = ("recommend", folder, "--user", "u1", "--json", "--at")
    days = [cli(*asked, at).out for at in ("2026-11-30", "1796083200", "2026-11-30T01:00+01:00")]
    assert len(set(days)) == 1
    ended = cli(*asked, "yesterday")
    assert ended.code == 2
    assert "--at yesterday: write a date as 2026-01-31" in ended.err


def test_one_answer_takes_one_thread_and_many_lists_all(cli, folder, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert cli("recommend", folder, "--users", "all", "--out", tmp_path / "all.csv").code == 0
        assert torch.get_num_threads() == 2
        assert cli("recommend", folder, "--user", "u1").code == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_users_that_never_trained_get_recommendations(cli, folder):
    for number in range(30):
        found = json.loads(cli("recommend", folder, "--user", f"u{number}", "--json").out)
        assert len(found["history"]) == 20
        titles = {item["title"] for item in found["recommended"]}
        assert len(titles) == 10
        assert not titles & {item["title"] for item in found["history"]}


def test_data_that_are_gone_are_named_and_not_fetched(cli, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("UFGRAPHFR_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(fetch, "urlopen", lambda *_, **__: pytest.fail("it was asked for"))
    monkeypatch.setattr(fetch.subprocess, "run", lambda *_, **__: pytest.fail("pip was asked"))
    for name in ("config.toml", "resolved.toml"):
        lines = (folder / name).read_text().replace('kind = "synthetic"', 'kind = "ml-100k"')
        gone = ("users = 30", "items = 60", "groups", "interactions", "sequential", "noise")
        kept = [each for each in lines.splitlines() if not each.startswith(gone)]
        (folder / name).write_text("\n".join(kept))
    ended = cli("recommend", folder, "--user", "1")
    assert ended.code == 2
    assert "MovieLens 100K, are not on this machine" in ended.err
    assert "ufgraphfr data fetch ml-100k" in ended.err
    assert cli("report", folder, "--test").code == 0
    told = (folder / "report.html").read_text()
    assert "Not computed: " in told
    assert "MovieLens 100K, are not on this machine" in told


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
    ended = cli("compare", "--test", folder, *(tmp_path / name for name in changes))
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
    ended = cli("compare", folder, "--test", "--metric", "recall@3", "--metric", "auc")
    assert ended.code == 0, ended.err
    headings = next(line for line in ended.out.splitlines() if "RECALL@3" in line)
    assert headings.split() == ["run", "(seeds)", *["RECALL@3", "AUC"] * 2]
    refused = cli("compare", folder, "--metric", "recal@3")
    assert refused.code == 2
    assert "did you mean 'recall@10'?" in refused.err


def test_compare_may_ask_sparse_users_alone(cli, folder):
    ended = cli("compare", folder, "--test", "--at-most", "30")
    assert ended.code == 0
    assert "of users with at most 30 known items" in ended.out
    refused = cli("compare", folder, "--test", "--at-most", "1")
    assert refused.code == 2


def test_compare_shows_no_test_unless_asked(cli, folder):
    ended = cli("compare", folder)
    assert ended.code == 0
    assert "validation: mean over seeds" in ended.out
    result = json.loads((folder / "result.json").read_text())
    shown = f"{result['validation']['full']['ndcg@10']:.3f}"
    assert shown in ended.out
    assert "1 of 100" not in ended.out
    (facts,) = json.loads(cli("compare", folder, "--json").out)
    assert facts["validation.ndcg@10"] == result["validation"]["full"]["ndcg@10"]
    assert not [key for key in facts if key.startswith(("full", "sampled"))]
    assert cli("compare", folder, "--at-most", "30").code == 2


def test_compare_writes_tables_for_other_programs(cli, toy, folder, tmp_path):
    words = ("--set", "algorithm.lr=0.01", "--out", tmp_path / "slow_er", "--quiet")
    assert cli("run", toy, *words).code == 0
    both = ("compare", "--test", folder, tmp_path / "slow_er")
    _, second = json.loads(cli(*both, "--json").out)
    assert second["algorithm.lr"] == 0.01
    assert second["ndcg@10 against first: p_holm"] == second["ndcg@10 against first: p_value"]
    (_, own) = csv.DictReader(io.StringIO(cli(*both, "--csv").out))
    assert float(own["full.ndcg@10"]) == second["full.ndcg@10"]
    latex = cli(*both, "--latex").out
    assert r"slow\_er & 1 & $" in latex
    widths = {line.count("&") for line in latex.splitlines() if line.endswith(r"\\")}
    assert len(widths) == 1
    assert "algorithm.lr=0.01" in cli(*both).out
    assert cli(*both, "--csv", "--json").code == 2


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
    history = [{"item": "3", "title": "3"}]
    assert (found["trained"], found["history"], found["unknown"]) == (False, history, ["9"])
    assert "not among" not in cli("recommend", out, "--user", "1").out


@pytest.fixture
def shared(cli, toy, tmp_path):
    """A run of a model that serves anybody."""
    out = tmp_path / "shared"
    words = ("--set", "algorithm={kind='ease'}", "--out", out, "--quiet")
    assert cli("run", toy, *words).code == 0
    return out


def test_anybody_is_served_with_reasons(cli, shared):
    ended = cli("recommend", shared, "--history", "i1,i2", "--history", "i3", "--why", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert [item["item"] for item in found["history"]] == ["i1", "i2", "i3"]
    best = found["recommended"][0]
    assert sum(best["shares"].values()) == pytest.approx(best["score"], abs=1e-5)
    assert {item["item"] for item in best["because"]} <= {"i1", "i2", "i3"}
    told = cli("recommend", shared, "--history", "i1,i2", "--why")
    assert "because of" in " ".join(told.out.split())


def test_somebody_of_whom_nothing_is_known(cli, shared):
    ended = cli("recommend", shared, "--history", "", "-n", "2")
    assert "without a history: what new users are shown" in ended.out
    assert cli("recommend", shared, "--similar", "i4").code == 0


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_lists_of_all_users_are_written(cli, shared, tmp_path, form):
    import polars as pl

    out = tmp_path / f"lists.{form}"
    ended = cli("recommend", shared, "--users", "all", "--out", out, "-n", "3")
    assert f"{90} rows, the lists of 30 users" in ended.out
    read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "jsonl": pl.read_ndjson}[form]
    rows = read(out)
    assert rows.columns == ["user", "rank", "item", "title", "score"]
    assert len(rows) == 90


def test_lists_of_named_users_are_written(cli, shared, tmp_path):
    (tmp_path / "who.txt").write_text("u3\n\nu1\nu3\n")
    out = tmp_path / "lists.csv"
    ended = cli("recommend", shared, "--users", tmp_path / "who.txt", "--out", out)
    assert "the lists of 2 users" in ended.out
    assert out.read_text().splitlines()[1].startswith("u3,1,")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say for whom"),
        (("--user", "u1", "--similar", "i1"), "say for whom"),
        (("--users", "all"), "go together"),
        (("--users", "all", "--out", "lists.txt"), "must end with one of"),
        (("--users", "nowhere.txt", "--out", "lists.csv"), "a file of ids, or all"),
        (("--users", "all", "--out", "lists.csv", "--why"), "explains one list"),
        (("--history", "i1", "--profile", "age"), "write NAME=VALUE"),
        (("--history", "i1", "--where", "genre"), "write NAME=VALUE"),
        (("--similar", "i1", "--why"), "--similar takes"),
        (("--similar", "i1", "--at", "2026-11-30"), "--similar takes"),
        (("--history", "i1x"), "no item 'i1x' in this run: the nearest are"),
    ],
)
def test_what_does_not_go_together_is_told(cli, shared, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = cli("recommend", shared, *words)
    assert ended.code == 2
    assert said in ended.err
    assert not list(tmp_path.glob("lists.*"))


def test_weights_of_each_users_own_serve_no_others(cli, folder):
    ended = cli("recommend", folder, "--history", "i1")
    assert ended.code == 2
    assert "'fedmf' keeps weights of each user's own" in ended.err


@pytest.mark.parametrize("kind", ["ease", "fedmf"])
def test_a_run_ends_with_what_to_do_next(cli, toy, tmp_path, monkeypatch, kind):
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    ended = cli("run", toy, "--out", tmp_path / "a run", "--set", f"algorithm={{kind='{kind}'}}")
    _, _, after = ended.out.partition("next:\n")
    commands = [shlex.split(line) for line in after.splitlines()]
    assert [words[1] for words in commands] == ["recommend", "report", "serve", "privacy"]
    for program, *words in commands:
        assert program == "ufgraphfr"
        assert "serve" in words or cli(*words).code == 0
