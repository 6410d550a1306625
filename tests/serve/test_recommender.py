"""Recommendations from a run folder."""

import json
import shutil
from dataclasses import replace

import pytest
import tomli_w
import torch

from ufgraphfr.core.errors import InputError
from ufgraphfr.evaluation.fusion import SHARES
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.serve.known import KnownUsers
from ufgraphfr.serve.model import Model
from ufgraphfr.serve.people import together
from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.requests import Request

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
    experiment = build(VALUES | {"algorithm": {"kind": "popularity"}})
    list(execute(experiment, tmp_path / "run"))
    recommender = Recommender.open(tmp_path / "run")
    split_counts = prepare(experiment).batch.items.bincount(minlength=ITEMS)
    for item in recommender.recommend("u0", 5):
        assert item.score == split_counts[int(item.item[1:])]


def test_wrong_users_and_counts_are_named(recommender):
    with pytest.raises(InputError, match=r"no user 'u99'"):
        recommender.recommend("u99")
    with pytest.raises(InputError, match="n = 0: ask for at least one"):
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


@pytest.fixture
def shop(tmp_path):
    """A folder with a table of 12 users, and what to run on it.

    ``ann`` has two items later than all others' first ones, ``bo`` one that only she has, ``cy``
    a profile alone, and ``di`` only rows of low ratings.
    """
    rows = [
        f"u{user},i{(user * 3 + step) % 10},{step},5" for user in range(12) for step in range(5)
    ]
    rows += ["ann,i4,9,5", "ann,i2,8,5", "ann,i4,11,5", "bo,i99,7,5", "bo,i1,6,5", "di,i1,5,1"]
    (tmp_path / "rows.csv").write_text("\n".join(["user,item,time,rating", *rows]))
    people = [f"u{user},{'PL' if user % 2 else 'CZ'}" for user in range(12)]
    (tmp_path / "users.csv").write_text("\n".join(["user,country", *people, "cy,PL", "bo,CZ"]))

    def run(**settings):
        columns = {"user": "user", "item": "item", "timestamp": "time", "rating": "rating"}
        data = {"kind": "table", "interactions": str(tmp_path / "rows.csv"), "min_rating": 2}
        data |= {"users": str(tmp_path / "users.csv"), "columns": columns}
        values = VALUES | {"data": data, "protocol": {}} | settings
        list(execute(build(values), tmp_path / "run", device="cpu"))
        return tmp_path / "run"

    return run


def user(served, name):
    return served.people.users([name])


def closed(**parts):
    return {"kind": "ufgraphformer", "transformer": False, **parts}


def test_every_user_of_the_files_is_served(shop):
    served = Recommender.open(shop(algorithm=closed(), federation={"rounds": 8}))
    histories = {name: served.history(name) for name in ("ann", "bo", "cy", "di")}
    assert histories == {"ann": ["i2", "i4"], "bo": ["i1"], "cy": [], "di": []}, "oldest first"
    assert served.people.unknown("bo") == ["i99"]
    assert served.people.unknown("ann") == served.people.unknown("u1") == []
    for name, history in histories.items():
        assert not served.people.trained(name)
        found = [each.item for each in served.recommend(name, 10)]
        assert sorted([*found, *history]) == [f"i{item}" for item in range(10)], "all others, once"
    assert served.people.trained("u1")


def test_a_history_and_a_profile_decide_not_whose_they_are(shop):
    served = Recommender.open(shop(algorithm=closed(), federation={"rounds": 8}))
    cy, trained = user(served, "cy"), user(served, "u1")
    assert torch.equal(cy.text, trained.text), "both of Poland"
    assert not torch.equal(cy.text, user(served, "ann").text), "of whom nothing is known"
    alike = trained.with_history(cy.ptr, cy.items)
    torch.testing.assert_close(served._model.score(cy), served._model.score(alike))
    assert not torch.allclose(served._model.score(cy), served._model.score(trained))


def test_tables_may_gain_users_who_would_not_train(shop, tmp_path):
    folder = shop(algorithm={"kind": "popularity"})
    before = Recommender.open(folder).recommend("u3")
    with (tmp_path / "rows.csv").open("a") as rows:
        rows.write("\nnew,i7,1,5")
    with (tmp_path / "users.csv").open("a") as people:
        people.write("\nnewer,PL")
    after = Recommender.open(folder)
    assert after.recommend("u3") == before
    assert after.history("new") == ["i7"]
    assert len(after.recommend("newer")) == 10
    with pytest.raises(InputError, match=r"no user 'ne' .*fewer than 3 interactions, can be added"):
        after.recommend("ne")


@pytest.mark.parametrize("kind", ["fedmf", "pfedrec", "ufgraphfr"])
def test_a_model_with_weights_of_each_users_own_says_whom_it_cannot_serve(shop, kind):
    served = Recommender.open(shop(algorithm={"kind": kind, "dim": 8}))
    with pytest.raises(InputError, match=rf"'ann' has too few .*\(below 3\), and '{kind}' keeps"):
        served.recommend("ann")
    assert served.history("ann") == ["i2", "i4"], "what is known of her needs no weights"
    assert served.recommend("u1")


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """A model of a table with dates, whose weights bend."""
    path = tmp_path_factory.mktemp("dated")
    rows = [
        f"u{user},i{(user * 7 + place * (1 + user % 3)) % 31},{BEGAN + 1000 * place + user}"
        for user in range(30)
        for place in range(9)
    ]
    (path / "rows.csv").write_text("\n".join(["user,item,timestamp", *rows]))
    values = VALUES | {
        "data": {"kind": "table", "interactions": str(path / "rows.csv")},
        "protocol": {},
        "algorithm": {"kind": "ufgraphformer", "dim": 8, "cold_users": {"latest": 2, "width": 1}},
        "federation": {"rounds": 12},
    }
    list(execute(build(values), path / "run", device="cpu"))
    assert Run(path / "run").experiment.model.absence, "by rule"
    memory = Run(path / "run").checkpoint.server
    parts = len(memory[SHARES])
    # whatever a fit to thirty users found: what a day adds, after what a long history does
    memory["blend"][2 * parts : 3 * parts] = torch.linspace(-3, 3, parts)
    run = Run(path / "run")
    prepared, known = run.prepared(), KnownUsers.of(run.prepared())
    run.__dict__["checkpoint"] = replace(run.checkpoint, server=memory)
    model = Model.of(run, prepared.setting)
    return Recommender(prepared.dataset.catalogue, known, model, run.experiment.encoder)


BEGAN = 1_700_000_000
LAST = BEGAN + 8 * 1000


def test_a_list_depends_on_how_long_the_user_was_away(dated):
    def scores(at):
        found = dated.answer(Request(user="u4", n=20, at=at)).recommended
        return [(each.item, each.score) for each in found]

    visit = scores(LAST + 4)
    assert visit == scores(LAST + 3_000) == scores(LAST - 10**6)
    assert visit != scores(LAST + 10**6)
    assert scores(LAST + 10**9) == scores(None) != visit, "now is long after"
    (row,) = dated.each(["u4"], Request(n=1, at=LAST + 10**9))
    assert (row["item"], row["score"]) == scores(None)[0]


def test_what_parts_add_bends_with_the_time_too(dated):
    for at in (LAST, LAST + 10**6):
        for each in dated.answer(Request(user="u4", n=5, at=at, why=True)).recommended:
            assert sum(each.shares.values()) == pytest.approx(each.score, abs=1e-4)


def test_users_of_the_files_and_others_are_asked_together(dated):
    users = dated.people.users(["u4", "u5"], LAST + 50.0)
    anybody = dated.people.anybody(torch.tensor([1, 2]), {})
    assert users.away.tolist() == [46, 45]
    assert together([users, anybody]).away.tolist() == [46, 45, 0]
    one = Request(user="u4", at=LAST + 10**6)
    both = dated.answers([one, Request(history=["i1", "i2"])])
    for each, alone in zip(both[0].recommended, dated.answer(one).recommended, strict=True):
        assert (each.item, each.score) == (alone.item, pytest.approx(alone.score, abs=1e-4))
    with pytest.raises(InputError, match="at: a history that is handed in has no times"):
        Request(history=["i1"], at=1.0)
    with pytest.raises(InputError, match="at = nan: give a time"):
        Request(user="u4", at=float("nan"))
