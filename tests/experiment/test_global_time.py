"""A split at dates, from the experiment to recommendations."""

import json
import logging

import numpy as np
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.compare import compare
from ufgraphfr.serve.recommender import Recommender

USERS, ITEMS = 30, 40


@pytest.fixture
def dated(toy, tmp_path):
    """The toy on interactions of 30 users over 1,000 days; `likes` holds them in time order."""
    rng = np.random.default_rng(0)
    likes = sorted(
        (int(rng.integers(0, 1000)), f"u{user}", f"i{item}")
        for user in range(USERS)
        for item in rng.permutation(ITEMS)[: rng.integers(4, 15)]
    )
    lines = ["user,item,timestamp", *(f"{user},{item},{day}" for day, user, item in likes)]
    (tmp_path / "likes.csv").write_text("\n".join(lines))

    def values(**changes):
        data = {"kind": "table", "interactions": str(tmp_path / "likes.csv")}
        protocol = {"split": "global-time", "train_until": 0.6, "validate_until": 0.8}
        return toy(protocol=protocol, **changes) | {"data": data}

    values.likes = likes
    return values


@pytest.mark.parametrize("kind", ["fedmf", "ufgraphfr", "ufgraphformer"])
def test_federated_training_is_asked_what_came_later(dated, run, caplog, kind):
    caplog.set_level(logging.INFO, "ufgraphfr")
    folder = run(dated() | {"algorithm": {"kind": kind}})
    result = json.loads((folder / "result.json").read_text())
    assert (result["split"], result["protocol"]) == ("global-time", "honest")
    day = [day for day, _, _ in dated.likes]
    first, second = day[int(0.6 * len(day))], day[int(0.8 * len(day))]
    train = {user for day, user, _ in dated.likes if day < first}
    late = {user for day, user, _ in dated.likes if day >= second}
    ranks = read_parquet(folder / "ranks.parquet")
    assert set(ranks["user"]) == train & late
    assert np.mean(1 / ranks["full"]) == pytest.approx(result["test"]["full"]["mrr"])
    told = f"{len(train)} of 30 users train; "
    assert any(told in record.getMessage() for record in caplog.records)
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    assert line["clients"] >= len(train)


def test_the_history_is_everything(dated, run):
    recommender = Recommender.open(run(dated()))
    for user in ("u0", "u7"):
        own = [item for _, name, item in dated.likes if name == user]
        assert recommender.history(user) == own
        found = [item.item for item in recommender.recommend(user, ITEMS)]
        assert not set(found) & set(own)


def test_other_dates_are_another_split(dated, run):
    one = dated()
    other = dated()
    other["protocol"] = one["protocol"] | {"train_until": 0.55}
    rows = compare([run(one, "one"), run(other, "other")])
    assert [row.not_compared for row in rows] == ["first", "other split"]


def test_a_data_set_without_dates_is_refused(toy, tmp_path):
    values = toy(protocol={"split": "global-time"})
    with pytest.raises(InputError, match=r"'synthetic' begin at the same time.*leave-one-out"):
        next(execute(build(values), tmp_path / "run"))
    assert not (tmp_path / "run").exists()
