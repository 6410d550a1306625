"""Runs side by side: seeds become one row, and only like is compared with like."""

import math

import numpy as np
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet, write_parquet
from ufgraphfr.evaluation.metrics import values
from ufgraphfr.experiment.compare import compare


@pytest.fixture
def trained(toy, run):
    """Runs the toy with a seed and other changes."""

    def folder(name, seed, **changes):
        return run(toy(seed=seed, federation={"rounds": 8}, **changes), name)

    return folder


def test_seeds_of_one_configuration_are_one_row(trained, outcome):
    folders = [trained(f"seed{seed}", seed) for seed in (1, 2, 3)]
    (row,) = compare(folders)
    assert (row.seeds, row.protocol, row.data) == ((1, 2, 3), "honest", "synthetic")
    assert row.name == str(folders[0])
    assert (row.against_first, row.not_compared) == (None, "first")
    metrics = [outcome(folder)["test"]["full"]["ndcg@20"] for folder in folders]
    assert row.mean["full"]["ndcg@20"] == pytest.approx(np.mean(metrics))
    assert row.spread["full"]["ndcg@20"] == pytest.approx(np.std(metrics, ddof=1))


def test_one_seed_has_no_spread(trained):
    (row,) = compare([trained("one", 1)])
    assert math.isnan(row.spread["full"]["ndcg@10"])


def test_a_better_run_is_significantly_better(toy, run, outcome):
    popularity = run(toy() | {"algorithm": {"kind": "popularity"}}, "popularity")
    ease = run(toy() | {"algorithm": {"kind": "ease"}}, "ease")
    first, second = compare([popularity, ease])
    found = second.against_first
    assert first.against_first is None
    means = [outcome(folder)["test"]["full"]["ndcg@10"] for folder in (ease, popularity)]
    assert found.mean == pytest.approx(means[0] - means[1])
    assert 0 < found.low < found.mean < found.high
    assert found.p_value < 0.01
    assert second.not_compared == ""


def test_a_run_is_not_better_than_a_copy(toy, run):
    one = run(toy(), "one")
    same = run(toy(evaluation={"chunk": 7}), "same")
    found = compare([one, same])[1].against_first
    assert (found.mean, found.p_value) == (0, 1)


def test_only_like_is_compared_with_like(trained):
    folders = [
        trained("honest", 1),
        trained("leaky", 1, protocol={"negatives": "legacy-leaky"}),
        trained("other-data", 1, data={"seed": 5}),
        trained("cold", 1, data={"seed": 0}, protocol={"cold_users": 0.5}),
    ]
    rows = compare(folders)
    assert [row.protocol for row in rows] == ["honest", "legacy-leaky", "honest", "honest"]
    assert [row.against_first for row in rows] == [None] * 4
    reasons = ["first", "other protocol", "other data", "other split"]
    assert [row.not_compared for row in rows] == reasons


def test_new_items_are_a_part_of_the_row(trained, outcome):
    folders = [trained(str(seed), seed, protocol={"cold_items": 0.3}) for seed in (1, 2)]
    (row,) = compare(folders)
    found = [outcome(folder)["new_items"]["ndcg@10"] for folder in folders]
    assert row.mean["new items"]["ndcg@10"] == pytest.approx(np.mean(found))
    (plain,) = compare([trained("plain", 1)])
    assert plain.mean["new items"] == {}


def test_sparse_users_can_be_compared_alone(toy, run):
    ease, popularity = (
        run(toy() | {"algorithm": {"kind": kind}}, kind) for kind in ("ease", "popularity")
    )
    columns = {folder: read_parquet(folder / "ranks.parquet") for folder in (ease, popularity)}
    assert set(columns[ease]["known"]) == {7}, "the test knows all but the last of eight items"
    # the toy's users are all alike in this
    known = 3 + np.arange(len(columns[ease]["known"])) % 9
    for folder, found in columns.items():
        write_parquet(folder / "ranks.parquet", found | {"known": known})
    bound = int(np.median(known))
    assert 0 < (known <= bound).sum() < len(known)
    first, second = compare([popularity, ease], bound)
    gains = [values("ndcg@10", columns[folder]["full"]) for folder in (popularity, ease)]
    few = [gain[known <= bound].mean() for gain in gains]
    assert [row.mean["full"]["ndcg@10"] for row in (first, second)] == pytest.approx(few)
    assert second.against_first.mean == pytest.approx(few[1] - few[0])
    assert "coverage@10" not in first.mean["full"]
    with pytest.raises(InputError, match="at most 2 known items: the fewest are 3"):
        compare([ease], 2)


def test_runs_that_do_not_say_how_much_is_known_are_named(trained):
    one = trained("one", 1)
    columns = read_parquet(one / "ranks.parquet")
    write_parquet(one / "ranks.parquet", {n: c for n, c in columns.items() if n != "known"})
    assert compare([one])
    with pytest.raises(InputError, match="does not say how much is known of each user: run it"):
        compare([one], 5)


def test_two_leaky_runs_may_be_compared(trained):
    leaky = {"negatives": "legacy-leaky"}
    one = trained("one", 1, protocol=leaky)
    two = trained("two", 1, protocol=leaky, algorithm={"lr": 0.1})
    assert compare([one, two])[1].against_first is not None


def test_what_cannot_be_compared_is_named(tmp_path, trained):
    with pytest.raises(InputError, match="at least one run folder"):
        compare([])
    with pytest.raises(InputError, match=r"nothing holds no finished run"):
        compare([tmp_path / "nothing"])
    one = trained("one", 1)
    with pytest.raises(InputError, match=r"repeats a run .* seed 1.*once"):
        compare([one, trained("again", 1)])
