"""What `import ufgraphfr` offers: the names, where they come from, and what they do."""

import subprocess
import sys
from pathlib import Path

import pytest

import ufgraphfr

NAMES = [
    "Adversary",
    "Aggregation",
    "Algorithm",
    "Attack",
    "Baseline",
    "Budget",
    "Card",
    "ClientBatch",
    "Clients",
    "Dataset",
    "Defence",
    "Encoder",
    "Experiment",
    "InputError",
    "Key",
    "ListMetric",
    "Mechanism",
    "MissingExtra",
    "PrivacySpec",
    "Private",
    "Purpose",
    "RankMetric",
    "Release",
    "ReleasePlan",
    "Report",
    "Response",
    "Rows",
    "Run",
    "Setting",
    "SharedTable",
    "Source",
    "Spec",
    "State",
    "Task",
    "TopLists",
    "Transport",
    "TransportSpec",
    "Update",
    "__version__",
    "compare",
    "load_data",
    "open_run",
    "recommend",
    "run",
]
TOY = {
    "name": "toy",
    "seed": 3,
    "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "fedmf", "dim": 4, "lr": 0.05},
    "federation": {"rounds": 4},
    "evaluation": {"every": 2, "baselines": ["popularity"]},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ufgraphfr.run(TOY, tmp_path_factory.mktemp("runs") / "toy", device="cpu")


def test_the_public_names_are_these():
    assert ufgraphfr.__all__ == NAMES
    assert set(NAMES) <= set(dir(ufgraphfr))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_what_type_checkers_see(name):
    """The imports for type checkers and those on first use are the same."""
    found = getattr(ufgraphfr, name)
    if name != "__version__":
        home = ufgraphfr._HOME_OF[name]
        line = next(
            line
            for line in Path(ufgraphfr.__file__).read_text().splitlines()
            if line.startswith(f"    from ufgraphfr.{home} import ")
        )
        assert name in line.partition(" import ")[2].split(", ")
        assert getattr(sys.modules[f"ufgraphfr.{home}"], name) is found


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ufgraphfr.nothing


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, ufgraphfr; ufgraphfr.__all__; ufgraphfr.InputError; "
        "print({'torch', 'polars', 'pydantic', 'numpy'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


def test_data_are_loaded_by_kind_and_keys():
    data = ufgraphfr.load_data("synthetic", users=12, items=20, groups=2, interactions=5)
    assert (data.interactions.n_users, data.interactions.n_items) == (12, 20)
    with pytest.raises(ufgraphfr.InputError, match="no key 'usres'"):
        ufgraphfr.load_data("synthetic", usres=12)


def test_a_run_holds_result_metrics_and_ranks(run):
    assert run.result["algorithm"] == "fedmf"
    assert run.metrics["round"].to_list() == [1, 2, 3, 4]
    ndcg = run.metrics["validation.full.ndcg@10"]
    assert [value is None for value in ndcg] == [True, False, True, False]
    assert len(run.ranks) == 30
    assert run.ranks["full"].min() >= 1
    assert run.experiment.model.dim == 4
    for text in ("toy", "fedmf on synthetic, seed 3", "30 users", "ndcg@10 0.", "no privacy"):
        assert text in repr(run)


def test_a_run_recommends(run):
    found = run.recommend("u3", 5)
    assert found.columns == ["rank", "item", "title", "score"]
    assert len(found) == 5
    assert not set(found["title"]) & set(run.history("u3"))
    assert ufgraphfr.recommend(run.folder, "u3", n=5).equals(found)


def test_a_finished_run_is_opened_and_not_trained_again(run):
    before = (run.folder / "result.json").stat().st_mtime_ns
    again = ufgraphfr.run(TOY, run.folder)
    assert (run.folder / "result.json").stat().st_mtime_ns == before
    assert again.result == run.result == ufgraphfr.open_run(run.folder).result
    with pytest.raises(ufgraphfr.InputError, match="already holds this experiment"):
        ufgraphfr.run(TOY, run.folder, resume=False)
    with pytest.raises(ufgraphfr.InputError, match="no finished run"):
        ufgraphfr.open_run(run.folder / "nowhere")


@pytest.mark.parametrize("given", [{"algorithm.lr": 0.07, "federation.rounds": 2}, None])
def test_settings_and_seeds_are_set_and_compared(run, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    other = ufgraphfr.run(TOY, set=given or ["algorithm.lr=0.07", "federation.rounds=2"], seed=5)
    assert other.folder == Path("runs/toy")
    assert (other.experiment.model.lr, other.result["rounds"]) == (0.07, 2)
    rows = ufgraphfr.compare([run, other.folder])
    assert rows["run"].to_list() == [str(run.folder), "runs/toy"]
    assert rows["seeds"].to_list() == [1, 1]
    assert rows["full.ndcg@10"][0] == pytest.approx(run.result["test"]["full"]["ndcg@10"])
    low, high = (rows[f"ndcg@10 against first: {end}"].to_list() for end in ("low", "high"))
    assert low[0] is None
    assert low[1] <= high[1]


def test_an_experiment_is_a_file_a_dict_or_what_was_read(run, tmp_path):
    again = ufgraphfr.run(run.experiment, tmp_path / "again")
    assert again.result["test"] == run.result["test"]
    (tmp_path / "trial.toml").write_text('[data]\nkind = "nothing"\n')
    with pytest.raises(ufgraphfr.InputError, match="no data set 'nothing'"):
        ufgraphfr.run(tmp_path / "trial.toml")
