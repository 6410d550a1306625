"""Recommendations from a run folder."""

import json
import shutil

import pytest
import tomli_w
import torch

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.serve.recommender import Recommender

USERS, ITEMS, LIKES = 24, 96, 20
VALUES = {
    "seed": 3,
    "data": {"kind": "synthetic", "users": USERS, "items": ITEMS, "interactions": LIKES},
    "protocol": {"cold_users": 0.25},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "ufgraphfr", "dim": 8},
    "federation": {"rounds": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    list(execute(build(VALUES), path, device="cpu"))
    return path


@pytest.fixture(scope="module")
def recommender(folder):
    return Recommender.open(folder)


def test_nobody_is_recommended_what_was_seen(recommender):
    for number in range(USERS):
        user = f"u{number}"
        seen = recommender.history(user)
        found = recommender.recommend(user, ITEMS)
        titles = [item.title for item in found]
        assert len(seen) == LIKES
        assert len(titles) == len(set(titles)) == ITEMS - LIKES, "all others, once"
        assert not set(titles) & set(seen)
        scores = [item.score for item in found]
        assert scores == sorted(scores, reverse=True)


def test_the_best_come_first(recommender):
    best = recommender.recommend("u1", 3)
    assert best == recommender.recommend("u1", 10)[:3]
    assert best[0].item.startswith("i")


def test_history_is_oldest_first_with_held_out_items_last(recommender):
    data = build(VALUES).source.load()
    mine = data.interactions.item[data.interactions.user == data.users.names.index("u2")]
    assert recommender.history("u2") == [data.catalogue.titles[item] for item in mine]


def test_popularity_recommends_the_most_popular_unseen_items(tmp_path):
    list(execute(build(VALUES | {"algorithm": {"kind": "popularity"}}), tmp_path / "run"))
    recommender = Recommender.open(tmp_path / "run")
    split_counts = recommender._prepared.batch.items.bincount(minlength=ITEMS)
    for item in recommender.recommend("u0", 5):
        assert item.score == split_counts[int(item.item[1:])]


def test_wrong_users_and_counts_are_named(recommender):
    with pytest.raises(InputError, match=r"no user 'u99'"):
        recommender.recommend("u99")
    with pytest.raises(InputError, match="-n 0: ask for at least one"):
        recommender.recommend("u1", 0)


def test_a_run_must_be_finished(tmp_path):
    with pytest.raises(InputError, match=r"no finished run: train it with ufgraphfr run"):
        Recommender.open(tmp_path)


def test_the_data_must_be_those_of_the_training(folder, tmp_path):
    moved = tmp_path / "run"
    shutil.copytree(folder, moved)
    config = build(VALUES | {"data": VALUES["data"] | {"seed": 9}}).resolved()
    (moved / "config.toml").write_text(tomli_w.dumps(config))
    with pytest.raises(InputError, match=r"trained on other data .*--data-dir"):
        Recommender.open(moved)


def test_other_profiles_are_other_data_except_to_runs_that_did_not_record_them(folder, tmp_path):
    moved = tmp_path / "run"
    shutil.copytree(folder, moved)
    config = build(VALUES | {"data": VALUES["data"] | {"profile_accuracy": 0.5}}).resolved()
    (moved / "config.toml").write_text(tomli_w.dumps(config))
    with pytest.raises(InputError, match=r"trained on other data .*--data-dir"):
        Recommender.open(moved)
    result = json.loads((moved / "result.json").read_text())
    del result["data"]["digest"]
    (moved / "result.json").write_text(json.dumps(result))
    Recommender.open(moved)


def test_scores_are_those_of_the_devices_at_the_best_round(folder, recommender):
    """The folder's model, not the last checkpoint, is what recommends."""
    path = RunFolder(folder)
    weights = path.model.read_bytes()
    again = Recommender.open(folder)
    assert again.recommend("u3") == recommender.recommend("u3")
    path.latest.unlink()
    assert Recommender.open(folder).recommend("u3") == recommender.recommend("u3")
    assert path.model.read_bytes() == weights
    assert all(torch.isfinite(torch.tensor(x.score)) for x in again.recommend("u3"))
