"""``ufgraphfr tune``: by validation alone, resumable, pruned by round, and no budget is spent."""

import copy

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.spec import parse
from ufgraphfr.evaluation.metrics import SELECTED_BY
from ufgraphfr.experiment import build, execute, read
from ufgraphfr.experiment.population import Simulated
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.tune_spec import TuneSpec
from ufgraphfr.tuning import search
from ufgraphfr.tuning.page import importances, write_page
from ufgraphfr.tuning.search import Tuning, trials_of, tune

VALUES = {
    "name": "toy",
    "data": {"kind": "synthetic", "users": 30, "items": 40, "groups": 2, "interactions": 8},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "fedmf", "dim": 4},
    "federation": {"rounds": 3},
    "evaluation": {"every": 1},
    "tune": {
        "trials": 3,
        "search": {"algorithm": {"lr": {"low": 0.001, "high": 1.0, "log": True}, "dim": [2, 4, 8]}},
    },
}


@pytest.fixture
def tuning(tmp_path):
    def of(trials=3, **changes):
        values = copy.deepcopy(VALUES) | changes
        spec = parse(TuneSpec, values["tune"], "[tune]")
        return Tuning.of(values, tmp_path, spec.model_copy(update={"trials": trials}))

    return of


@pytest.fixture
def given(monkeypatch):
    """Validations by trial, in place of training."""

    def told(curves):
        left = iter(curves)

        def validations(*_):
            yield from enumerate(next(left), start=1)

        monkeypatch.setattr(search, "validations", validations)

    return told


def test_the_file_comes_first_and_the_test_is_never_read(tuning, tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("the test was read")

    monkeypatch.setattr(Simulated, "test", never)
    monkeypatch.setattr(PreparedExperiment, "test", property(never))
    first, *others = tune(tuning(), tmp_path / "out", device="cpu")
    assert first.values == {"algorithm.lr": 0.1, "algorithm.dim": 4}
    assert len(others) == 2
    for trial in others:
        assert 0.001 <= trial.values["algorithm.lr"] <= 1
        assert trial.values["algorithm.dim"] in (2, 4, 8)
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["best.toml", "tune.db"]


def test_the_best_is_a_file_that_runs_and_reaches_what_it_says(tuning, tmp_path):
    done = list(tune(tuning(), tmp_path / "out", device="cpu"))
    best = max(done, key=lambda trial: trial.value)
    text = (tmp_path / "out" / "best.toml").read_text()
    assert (
        f"Trial {best.number + 1} of 3: validation {SELECTED_BY.upper()} {best.value:.4f}" in text
    )
    steps = list(execute(read(tmp_path / "out" / "best.toml"), tmp_path / "run", device="cpu"))
    assert max(step.validation["full"][SELECTED_BY] for step in steps) == best.value


def test_a_search_goes_on_where_it_was_cut_off(tuning, tmp_path):
    steps = tune(tuning(4), tmp_path / "out", device="cpu")
    two = [next(steps), next(steps)]
    steps.close()
    # a kill in the midst of a trial leaves it running
    search.load(tmp_path / "out").ask()
    with pytest.raises(InputError, match="go on with --resume"):
        list(tune(tuning(4), tmp_path / "out", device="cpu"))
    rest = list(tune(tuning(4), tmp_path / "out", resume=True, device="cpu"))
    assert len(rest) == 2
    done = trials_of(tmp_path / "out")
    assert done[:2] == two
    assert done[2:] == rest
    assert [trial.state for trial in done] == ["complete"] * 4


def test_another_search_is_not_mixed_with_it(tuning, tmp_path):
    list(tune(tuning(1), tmp_path / "out", device="cpu"))
    other = tuning(2, federation={"rounds": 2})
    with pytest.raises(InputError, match="other settings, space or data"):
        list(tune(other, tmp_path / "out", resume=True, device="cpu"))


def test_a_trial_below_the_median_at_its_round_is_given_up(tuning, given, tmp_path):
    good, bad = [0.2, 0.3, 0.4], [0.2, 0.1, 0.9]
    given([good] * 4 + [bad])
    done = list(tune(tuning(5), tmp_path / "out", device="cpu"))
    assert [trial.state for trial in done] == ["complete"] * 4 + ["pruned"]
    assert done[-1].rounds == 2
    given([good] * 4 + [bad])
    kept = tuning(5, tune=VALUES["tune"] | {"pruning": False})
    assert list(tune(kept, tmp_path / "kept", device="cpu"))[-1].value == 0.9


def test_what_mattered_is_told_and_drawn(tuning, given, tmp_path):
    given([[0.1 * (1 + place % 4)] for place in range(8)])
    asked = tuning(8)
    list(tune(asked, tmp_path / "out", device="cpu"))
    shares = importances(tmp_path / "out")
    assert set(shares) == {"algorithm.lr", "algorithm.dim"}
    assert sum(shares.values()) == pytest.approx(1)
    text = write_page(asked, trials_of(tmp_path / "out"), tmp_path / "out").read_text()
    for told in ("What mattered", "algorithm.lr", "best so far", "0.4000"):
        assert told in text


def test_a_baseline_is_tuned_too(tuning, tmp_path):
    table = {"search": {"algorithm": {"ridge": {"low": 0.1, "high": 100.0, "log": True}}}}
    asked = tuning(2, algorithm={"kind": "ease"}, tune=table)
    assert all(trial.value for trial in tune(asked, tmp_path / "out", device="cpu"))


def test_the_best_finds_tables_of_the_file_that_it_was_made_of(tuning, given, tmp_path):
    rows = [f"{user},{item},{user + item}" for user in range(12) for item in range(user % 3, 9)]
    (tmp_path / "rows.csv").write_text("\n".join(["user,item,timestamp", *rows]))
    given([[0.1]])
    asked = tuning(1, data={"kind": "table", "interactions": "rows.csv"})
    list(tune(asked, tmp_path / "a" / "out", device="cpu"))
    best = read(tmp_path / "a" / "out" / "best.toml")
    assert best.located_source().load(None).interactions.n_users == 12


def test_a_search_under_a_budget_is_refused(tuning):
    with pytest.raises(InputError, match="no ledger pays for"):
        tuning(privacy={"kind": "central-jdp", "epsilon": 1, "delta": 1e-5})


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({}, "is empty: name what to search"),
        ({"algorithm": {"lt": [1, 2]}}, "did you mean 'lr'"),
        ({"algorithm": {"lr": [0.1, -1]}}, "lr = -1"),
        ({"algorithm": {"lr": {"low": 1, "high": 0.1}}}, "must be below high"),
        ({"algorithm": {"lr": {"low": 0, "high": 1, "log": True}}}, "must be above 0"),
        ({"algorithm": {"lr": {"low": 1, "hihg": 2}}}, "did you mean 'high'"),
        ({"algorithm": {"lr": 0.1}}, "give a list of values"),
        ({"data": {"users": [10, 20]}}, "what settings are judged by"),
    ],
)
def test_a_space_is_checked_before_anything_is_trained(tuning, wish, said):
    with pytest.raises(InputError, match=r"tune.search|algorithm") as refused:
        tuning(tune={"search": wish})
    assert said in str(refused.value)


def test_trials_that_all_fail_end_the_search(tuning, tmp_path, monkeypatch):
    def refused(*_):
        raise InputError("it cannot be: no")
        yield

    monkeypatch.setattr(search, "validations", refused)
    with pytest.raises(InputError, match="it cannot be: no"):
        list(tune(tuning(9), tmp_path / "out", device="cpu"))
    assert len(trials_of(tmp_path / "out")) == 3


def test_the_table_changes_nothing_of_an_experiment():
    plain = {key: value for key, value in VALUES.items() if key != "tune"}
    assert build(VALUES).digest == build(plain).digest
    with pytest.raises(InputError, match="did you mean 'trials'"):
        build(VALUES | {"tune": {"trails": 3}})
