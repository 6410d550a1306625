"""``[protocol] targets``: one is what there was before, several are one value of each user."""

import numpy as np
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet
from ufgraphfr.evaluation.metrics import values
from ufgraphfr.experiment import build
from ufgraphfr.experiment.compare import compare, read_run

SEVERAL = {"targets": 3}


def test_one_target_is_the_same_experiment(toy):
    plain, one, several = (
        build(toy(protocol=protocol)) for protocol in ({}, {"targets": 1}, SEVERAL)
    )
    assert plain.digest == one.digest != several.digest
    assert plain.group == one.group != several.group


def test_none_are_refused(toy):
    with pytest.raises(InputError, match="targets"):
        build(toy(protocol={"targets": 0}))


def test_a_run_keeps_a_rank_of_each_target_and_compares_users(toy, run, outcome):
    folders = [
        run(toy(protocol=SEVERAL) | {"algorithm": {"kind": kind}}, kind)
        for kind in ("popularity", "ease")
    ]
    for folder in folders:
        ranks, result = read_parquet(folder / "ranks.parquet"), outcome(folder)
        users, counts = np.unique(ranks["user"], return_counts=True)
        assert len(users) == result["data"]["users"]
        assert counts.max() == 3
        gains = values("ndcg@10", ranks["full"])
        each = np.array([gains[ranks["user"] == user].mean() for user in users])
        assert result["test"]["full"]["ndcg@10"] == pytest.approx(each.mean())
        error = each.std(ddof=1) / np.sqrt(len(each))
        assert result["standard_errors"]["full"]["ndcg@10"] == pytest.approx(error)
    rows = compare(folders)
    tests = [outcome(folder)["test"]["full"]["ndcg@10"] for folder in folders]
    assert rows[1].against_first is not None
    assert rows[1].against_first.mean == pytest.approx(tests[1] - tests[0])
    known = read_parquet(folders[0] / "ranks.parquet")["known"]
    some = read_run(folders[0], at_most=int(known.max()))
    assert some.test["full"] == pytest.approx(
        {k: v for k, v in outcome(folders[0])["test"]["full"].items() if k != "coverage@10"}
    )


def test_other_targets_are_another_split(toy, run):
    base = toy() | {"algorithm": {"kind": "popularity"}}
    one = run(base, "one")
    several = run(base | {"protocol": SEVERAL}, "several")
    assert compare([one, several])[1].not_compared == "other split"


@pytest.mark.parametrize("kind", ["ufgraphformer", "pfedrec"])
def test_algorithms_are_trained_and_tested_with_several(toy, run, outcome, kind):
    algorithm = {"kind": kind, "dim": 8}
    found = outcome(run(toy(protocol=SEVERAL, federation={"rounds": 2}) | {"algorithm": algorithm}))
    for part in ("validation", "test"):
        assert 0 < found[part]["full"]["ndcg"] < 1
