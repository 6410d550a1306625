"""Runs become rows, rows become the leaderboard; nothing leaky stands beside anything honest."""

import importlib.util
import json
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.core.derived import DataFacts
from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import execute, read
from ufgraphfr.experiment.derive import derive
from ufgraphfr.experiment.settings import flat

ROOT = Path(__file__).parents[2]
MADE = """# {about}.
name = "{name}"
[data]
kind = "synthetic"
users = 30
items = 120
interactions = 8
[text]
kind = "hashing"
width = 16
[algorithm]
kind = "{kind}"
[federation]
rounds = 3
cohort = 10
"""
LEAKY = '[protocol]\nnegatives = "legacy-leaky"\n'


NEW_ITEMS = ("protocol.cold_items=0.3",)


def script(name: str) -> ModuleType:
    path = ROOT / "benchmarks" / "accuracy" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


record, leaderboard = script("record"), script("leaderboard")


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "experiments"
    (folder / "toy").mkdir(parents=True)
    for name, kind, more in (
        ("fedmf", "fedmf", ""),
        ("leaky", "fedmf", LEAKY),
        ("popularity", "popularity", ""),
    ):
        text = MADE.format(about=f"A toy of {kind}", name=f"toy-{name}", kind=kind)
        (folder / "toy" / f"{name}.toml").write_text(text + more)
    return folder


@pytest.fixture(scope="module")
def runs(experiments: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished folders: three seeds of one configuration, and one of each other."""
    base = tmp_path_factory.mktemp("runs")
    wanted = [("fedmf", seed, ()) for seed in (4, 2, 3)] + [
        ("leaky", 0, ()),
        ("popularity", 0, ()),
        ("popularity", 1, ("protocol.cold_users=0.2", "data.interactions=24", "data.items=140")),
    ]
    found = {}
    wanted += [("fedmf", 7, NEW_ITEMS), ("popularity", 7, NEW_ITEMS)]
    for name, seed, overrides in wanted:
        folder = base / f"{name}{seed}"
        experiment = read(experiments / "toy" / f"{name}.toml", overrides, seed)
        list(execute(experiment, folder, device="cpu"))
        found[folder.name] = folder
    return found


def test_seeds_of_one_configuration_are_one_row(
    runs: dict[str, Path], experiments: Path, tmp_path: Path
) -> None:
    folders = [runs[name] for name in ("fedmf4", "fedmf2", "fedmf3")]
    (path,) = record.record(folders, experiments=experiments, results=tmp_path)
    assert path.name == "toy-fedmf.json"
    row = json.loads(path.read_text())
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    assert row["seeds"] == [2, 3, 4]
    assert row["experiment"] == "experiments/toy/fedmf.toml"
    for ranking in ("full", "sampled99"):
        for name, value in row["test"][ranking].items():
            samples = [result["test"][ranking][name] for result in results]
            assert value["mean"] == pytest.approx(np.mean(samples), abs=1e-6)
            assert value["spread"] == pytest.approx(np.std(samples, ddof=1), abs=1e-6)
    assert (row["test_users"], row["data"]["users"], row["costs"]["rounds"]) == (30, 30, 3)
    # 10 of 30 clients in each of 3 rounds: one round each
    costs = row["costs"]
    assert costs["bytes_up_per_client"] == pytest.approx(costs["bytes_up_per_client_round"])
    assert costs["bytes_up_per_client"] > 0
    total = 3 * costs["cpu_seconds_per_round"]
    assert costs["cpu_seconds"] == pytest.approx(total, abs=0.003)
    assert costs["peak_rss_bytes"] == max(result["peak_rss_bytes"] for result in results)
    assert row["federated"] is True
    assert "seed" not in row["config"]
    config = tomllib.loads((folders[0] / "resolved.toml").read_text())
    assert row["config"]["algorithm"] == config["algorithm"]


def test_a_recorded_row_holds_nothing_of_any_user(
    runs: dict[str, Path], experiments: Path, tmp_path: Path
) -> None:
    (path,) = record.record([runs["popularity0"]], experiments=experiments, results=tmp_path)
    row = json.loads(path.read_text())

    def numbers(value: object) -> int:
        """How many values the longest list holds."""
        if isinstance(value, dict):
            return max((numbers(part) for part in value.values()), default=0)
        return len(value) if isinstance(value, list) else 0

    assert numbers(row) < 30
    assert str(path.parent.parent) not in path.read_text()
    assert row["costs"]["bytes_up_per_client"] == 0
    assert row["federated"] is False
    assert row["test"]["full"]["mrr"]["spread"] is None


def test_overrides_belong_to_the_row(
    runs: dict[str, Path], experiments: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"no file under .*popularity on synthetic.*--set"):
        record.record([runs["popularity1"]], experiments=experiments, results=tmp_path)
    assert not list(tmp_path.iterdir())
    overrides = ("protocol.cold_users=0.2", "data.interactions=24", "data.items=140")
    (path,) = record.record([runs["popularity1"]], overrides, experiments, tmp_path)
    assert path.name == "toy-popularity-cold_users-0-2-interactions-24-items-140.json"
    page = leaderboard.leaderboard(tmp_path)
    assert "## synthetic, leave-one-out, 20% of users never trained" in page
    assert "`--set protocol.cold_users=0.2`" in page
    _, section = page.split(
        "\n### Cold users: synthetic, leave-one-out, 20% of users never trained"
    )
    measured = json.loads((runs["popularity1"] / "result.json").read_text())["cold"]
    values = [leaderboard.share(measured[f"ndcg@10 known={known}"]) for known in (0, 1, 3, 10)]
    assert f"| *popularity* | {' | '.join(values)} | 1 |" in section


def test_new_items_have_a_table_with_chance_below(
    runs: dict[str, Path], experiments: Path, tmp_path: Path
) -> None:
    folders = [runs["fedmf7"], runs["popularity7"]]
    first, _ = record.record(folders, NEW_ITEMS, experiments, tmp_path)
    page = leaderboard.leaderboard(tmp_path)
    _, section = page.split("\n### New items: synthetic, leave-one-out, 30% of items never trained")
    lines = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("| ")][2:]
    assert len(lines) == 3
    assert lines[-1].startswith("| chance |")
    found = json.loads(first.read_text())["new_items"]
    measured = json.loads((runs["fedmf7"] / "result.json").read_text())["new_items"]
    assert found["ndcg@10"]["mean"] == pytest.approx(measured["ndcg@10"], abs=1e-6)
    assert f"| **fedmf** | {leaderboard.share(measured['ndcg@10'])} |" in section
    (plain,) = record.record([runs["fedmf4"]], (), experiments, tmp_path / "plain")
    assert json.loads(plain.read_text())["new_items"] is None
    assert "New items" not in leaderboard.leaderboard(tmp_path / "plain")


def test_the_same_seed_twice_and_unfinished_runs_are_refused(
    runs: dict[str, Path], experiments: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"repeats a run .* seed 2"):
        record.record([runs["fedmf2"]] * 2, experiments=experiments, results=tmp_path)
    with pytest.raises(InputError, match="no finished run"):
        record.record([tmp_path / "none"], experiments=experiments, results=tmp_path)


def test_leaky_runs_stand_in_their_own_marked_table(
    runs: dict[str, Path], experiments: Path, tmp_path: Path
) -> None:
    folders = [runs[name] for name in ("fedmf4", "fedmf2", "leaky0", "popularity0")]
    written = record.record(folders, experiments=experiments, results=tmp_path)
    assert len(written) == 3
    honest, leaky = leaderboard.leaderboard(tmp_path).split("\n## synthetic, LEAKY")
    tables = [line for line in honest.splitlines() if line.startswith("| **") or "| *" in line]
    assert len(tables) == 2
    assert "leaky" not in " ".join(tables)
    means = {
        row["algorithm"]: row["test"]["full"]["ndcg@10"]["mean"]
        for row in (json.loads(path.read_text()) for path in written)
        if row["protocol"]["negatives"] == "honest"
    }
    best = max(means, key=lambda name: means[name])
    assert f"*{best}*" in tables[0], "the best comes first"
    (fedmf,) = (line for line in tables if "**fedmf**" in line)
    assert " ± " in fedmf
    assert "experiments/toy/fedmf.toml" in fedmf
    (ours,) = (line for line in leaky.splitlines() if "fedmf" in line)
    assert ours.startswith("| **fedmf**, ours, leaky |")


def test_published_leaky_figures_are_in_no_honest_table(
    runs: dict[str, Path], experiments: Path, tmp_path: Path
) -> None:
    (path,) = record.record([runs["popularity0"]], experiments=experiments, results=tmp_path)
    row = json.loads(path.read_text())
    row["data"]["name"] = "ml-1m"
    path.write_text(json.dumps(row))
    honest, leaky = leaderboard.leaderboard(tmp_path).split("\n## ml-1m, LEAKY")
    assert "published" not in honest
    lines = [line for line in leaky.splitlines() if "as published" in line]
    assert lines[0].startswith("| PFedRec, as published, leaky | .730 | .445 |")
    assert len(lines) == 4


def test_data_that_differ_are_not_in_one_table(
    runs: dict[str, Path], experiments: Path, tmp_path: Path
) -> None:
    written = record.record(
        [runs["popularity0"], runs["fedmf2"]], experiments=experiments, results=tmp_path
    )
    row = json.loads(written[0].read_text())
    row["data"]["sha256"] = leaderboard.ORDER_ONLY[0]
    written[0].write_text(json.dumps(row))
    page = leaderboard.leaderboard(tmp_path)
    assert page.count("## synthetic, leave-one-out") == 1
    assert page.count("## synthetic (order only), leave-one-out") == 1


def test_a_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"schema": "something-else"}')
    with pytest.raises(ValueError, match=r"old\.json has schema something-else"):
        leaderboard.leaderboard(tmp_path)


def test_the_leaderboard_is_the_one_its_results_give() -> None:
    page = (ROOT / "LEADERBOARD.md").read_text(encoding="utf-8")
    assert page == leaderboard.leaderboard(), "run: make leaderboard"


EARLIER_GRAPH = {"algorithm.graph.ridge": 1000.0}
"""Of rows from before pairs of long histories counted less, on other terms. Forms under a budget
have no such operator."""
OF_THE_EARLIER_GRAPH = {
    *(f"private-ml{m}_eps{e}" for m in ("100k", "1m") for e in (1, 2, 8)),
}


def test_every_recorded_setting_is_given_by_the_experiment_file() -> None:
    """Settings that came later may be more, with defaults that change nothing.

    What a file leaves open is what would be derived from the row's data today.
    """
    for path in sorted(leaderboard.RESULTS.glob("*.json")):
        row = json.loads(path.read_text())
        data = row["data"]
        size = data["users"], data["items"], data["interactions"]
        recorded = flat(row["config"])
        dated = "times are dates" in recorded.get("derived.algorithm.absence", "")
        facts = DataFacts(*size, dated=dated)
        experiment = read(ROOT / row["experiment"], tuple(row["overrides"]))
        setting = Setting(facts.items, facts.users, text_width=0, seed=0)
        given = flat(record.configuration(derive(experiment, facts, setting)))
        if path.stem in OF_THE_EARLIER_GRAPH:
            given |= EARLIER_GRAPH
        for key, value in recorded.items():
            if not key.startswith("derived."):
                assert given.get(key) == value, f"{path.name}: {key}: run it again"
