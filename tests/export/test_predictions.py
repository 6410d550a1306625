"""A table of predictions is enough to compute the run's own metrics, by the libraries' schemas."""

import math
import re
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest

from ufgraphfr.data.frames import write_rows
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.export.predictions import COLUMNS, predictions

VALUES = {
    "seed": 3,
    "data": {"kind": "synthetic", "users": 60, "items": 120, "interactions": 12},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "fedmf", "dim": 4, "lr": 0.05},
    "federation": {"rounds": 6},
    "evaluation": {"metrics": ["joint-ndcg@10", "joint-recall@10"]},
}
PAGE = Path(__file__).parents[2] / "docs" / "exporting.md"
READ = {"csv": pl.read_csv, "parquet": pl.read_parquet}


@pytest.fixture(scope="module", params=[1, 3], ids=["one target", "three targets"])
def run(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("runs") / "run"
    values = VALUES | {"protocol": {"targets": request.param}}
    list(execute(build(values), path, device="cpu"))
    return Run(path)


def as_ranx(frame):
    """Documented: a run is q_id, doc_id and a float score by which it is sorted; judgements too."""
    lists, wanted = defaultdict(dict), defaultdict(set)
    for row in frame.iter_rows(named=True):
        lists[str(row["q_id"])][str(row["doc_id"])] = float(row["score"])
        if row["target"]:
            wanted[str(row["q_id"])].add(str(row["doc_id"]))
    ranked = {user: sorted(own, key=lambda item: -own[item]) for user, own in lists.items()}
    return ranked, wanted


def as_ranked(frame):
    """Documented by RecTools and LensKit: user_id, item_id, and rank from 1, lower is better."""
    lists, wanted = defaultdict(list), defaultdict(set)
    for row in frame.sort("user_id", "rank").iter_rows(named=True):
        lists[str(row["user_id"])].append((row["rank"], str(row["item_id"])))
        if row["target"]:
            wanted[str(row["user_id"])].add(str(row["item_id"]))
    assert all(own[:10] == sorted(own)[:10] for own in lists.values())
    assert {tuple(rank for rank, _ in own[:10]) for own in lists.values()} == {tuple(range(1, 11))}
    return {user: [item for _, item in own] for user, own in lists.items()}, wanted


@pytest.mark.parametrize("form", READ)
@pytest.mark.parametrize("columns", ["rectools", "lenskit", "ranx"])
def test_the_table_says_what_the_result_says(run, tmp_path, form, columns):
    prepared, file = run.prepared(), tmp_path / f"lists.{form}"
    write_rows(predictions(run, prepared, 10, columns), file)
    frame = READ[form](file)
    assert tuple(frame.columns) == COLUMNS[columns]
    lists, wanted = (as_ranx if columns == "ranx" else as_ranked)(frame)
    assert len(lists) == len(wanted) == 60
    targets = run.experiment.protocol.targets
    assert {len(own) for own in wanted.values()} == {targets}
    if targets > 1:
        return
    gains = [
        1 / math.log2(2 + lists[user].index(item))
        for user, (item,) in wanted.items()
        if lists[user].index(item) < 10
    ]
    result = run.result["test"]["full"]
    assert len(gains) / 60 == pytest.approx(result["hr@10"])
    assert sum(gains) / 60 == pytest.approx(result["ndcg@10"])


@pytest.mark.parametrize("library", ["ranx", "rectools", "lenskit"])
@pytest.mark.filterwarnings("ignore")  # theirs
def test_the_library_finds_the_figures_of_the_result(run, tmp_path, monkeypatch, library):
    pytest.importorskip(library)
    blocks = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (text,) = [each for each in blocks if f"--columns {library}" in each]
    write_rows(predictions(run, run.prepared(), 10, library), tmp_path / "lists.parquet")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(text, "block", "exec"), names)
    result, one = run.result["test"]["full"], run.experiment.protocol.targets == 1
    assert names["ndcg"] == pytest.approx(result["ndcg@10" if one else "joint-ndcg@10"])
    assert names["recall"] == pytest.approx(result["hr@10" if one else "joint-recall@10"])


def test_nothing_that_was_given_is_predicted_and_no_item_twice(run):
    prepared = run.prepared()
    rows = list(predictions(run, prepared, 200))
    own = defaultdict(list)
    for row in rows:
        own[row["user"]].append(row)
    asked, items = prepared.test, prepared.dataset.catalogue.items
    for place, user in enumerate(prepared.dataset.users.names):
        start, end = asked.clients.ptr[place : place + 2]
        known = {items[item] for item in asked.clients.items[start:end].tolist()}
        listed = [row["item"] for row in own[user]]
        assert len({*listed}) == len(listed) == len(items) - len(known)
        assert not known & {*listed}
        scores = [row["score"] for row in own[user]]
        assert scores == sorted(scores, reverse=True)
        assert [row["rank"] for row in own[user]] == list(range(1, len(listed) + 1))
