"""What an experiment leaves open is derived once, kept by its run, and told."""

import json
import tomllib
from itertools import islice

import pytest
import tomli_w

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import adaptive
from ufgraphfr.core.derived import DataFacts
from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.compare import compare
from ufgraphfr.experiment.derive import derive
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.privacy_plan import calibrate, model_in_use
from ufgraphfr.privacy.accounted.ledger import Ledger

FLAGSHIP = {"kind": "ufgraphformer", "dim": 4, "hidden": 8, "graph": {"rounds": 1}}
COHORT, ROUNDS = "federation.cohort", "federation.rounds"


@pytest.fixture
def open_(toy, monkeypatch):
    """The toy with the flagship, which leaves its federation to the rule: three rounds of ten."""
    monkeypatch.setattr(adaptive, "LARGEST_COHORT", 10)
    monkeypatch.setattr(adaptive, "MOST_ROUNDS", 2)

    def values(**changes):
        found = toy(algorithm=FLAGSHIP, **changes)
        if "federation" not in changes:
            del found["federation"]
        return found

    return values


def test_a_run_says_what_was_derived_and_why(open_, run, caplog):
    with caplog.at_level("INFO"):
        folder = run(open_())
    told = {each["key"]: each for each in Run(folder).result["derived"]}
    assert {COHORT, ROUNDS} <= told.keys()
    assert told[COHORT]["value"] == 10
    assert told[ROUNDS]["value"] == Run(folder).result["rounds"] == 3
    for each in told.values():
        line = next(text for text in caplog.messages if text.startswith(f"{each['key']} = "))
        assert line.endswith(each["why"])
    assert "evaluation.every" not in told


def test_what_is_set_is_not_derived(open_, run):
    result = Run(run(open_(federation={"rounds": 2, "cohort": 7}))).result
    assert result["rounds"] == 2
    assert not {COHORT, ROUNDS} & {each["key"] for each in result["derived"]}


@pytest.mark.parametrize(("asked", "validations"), [(100, 4), (None, 1)])
def test_validations_are_as_many_as_those_who_are_asked_allow(asked, validations):
    evaluation = {} if asked is None else {"users": asked}
    experiment = build({"algorithm": {"kind": "ufgraphformer"}, "evaluation": evaluation})
    facts = DataFacts(users=20_000, items=100_000, interactions=10**6)
    setting = Setting(facts.items, facts.users, 8, 0)
    found = {each.key: each for each in derive(experiment, facts, setting).derived}
    every, rounds = found["evaluation.every"], found[ROUNDS].value
    assert -(-rounds // every.value) == validations
    assert f"ranking {(asked or facts.users) * facts.items:,} pairs" in every.why


def test_auto_says_that_a_key_is_left_open():
    values = {"algorithm": {"kind": "ufgraphformer"}, "federation": {"rounds": 9}}
    assert {COHORT, ROUNDS} & build(values).auto == {COHORT}
    said = build(values | {"federation": {"rounds": "auto", "cohort": "auto"}})
    assert said.auto == build({"algorithm": {"kind": "ufgraphformer"}}).auto
    assert build(tomllib.loads(tomli_w.dumps(said.resolved()))) == said
    old_name = {"algorithm": {"kind": "ufgraphformer", "newcomers": False}}
    with pytest.warns(DeprecationWarning, match="newcomers"):
        assert build(old_name).auto == said.auto
    with pytest.raises(InputError, match=r"\[federation\] rounds = 'auto'"):
        build({"algorithm": {"kind": "fedmf"}, "federation": {"rounds": "auto"}})


def test_a_model_without_a_rule_leaves_nothing_open():
    assert build({"algorithm": {"kind": "fedmf"}}).auto == frozenset()


def test_a_run_goes_on_with_what_was_derived_then(open_, tmp_path, monkeypatch, outcome):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    list(execute(build(open_()), whole, device="cpu"))
    list(islice(execute(build(open_()), stopped, device="cpu"), 2))
    monkeypatch.setattr(adaptive, "LARGEST_COHORT", 5)
    monkeypatch.setattr(adaptive, "MOST_ROUNDS", 9)
    list(execute(build(open_()), stopped, resume=True, device="cpu"))
    assert outcome(stopped) == outcome(whole)


def test_a_folder_with_another_cohort_is_another_run(open_, run):
    run(open_(federation={"cohort": 7, "rounds": 2}))
    with pytest.raises(InputError, match=r"federation\.cohort is 7.* there, 'auto' here"):
        run(open_(), resume=True)


def test_runs_are_compared_by_what_they_used(open_, run):
    derived = run(open_(seed=3), "derived")
    same = {"cohort": 10, "rounds": 3}
    (row,) = compare([derived, run(open_(seed=4, federation=same), "set")])
    assert row.seeds == (3, 4)
    rows = compare([derived, run(open_(seed=4, federation=same | {"cohort": 9}), "other")])
    assert len(rows) == 2


def test_a_folder_from_before_the_rule_goes_on_with_the_defaults_of_then(open_, tmp_path):
    """It wrote rounds and everybody for a cohort among its defaults, and no reasons."""
    there = {"cohort": 1.0, "rounds": 100}
    list(islice(execute(build(open_(federation=there)), tmp_path / "run", device="cpu"), 2))
    assert "federation" not in tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    step = next(execute(build(open_()), tmp_path / "run", resume=True, device="cpu"))
    assert (step.rounds, step.clients) == (100, 30)


def test_a_finished_runs_settings_are_an_experiment(open_, run):
    folder = run(open_())
    values = tomllib.loads((folder / "config.toml").read_text())
    again = build(values)
    assert again.digest == Run(folder).experiment.digest
    assert {each.key for each in again.derived} == {
        each["key"] for each in json.loads((folder / "result.json").read_text())["derived"]
    }


def test_under_a_budget_the_rounds_are_what_it_affords(open_, run):
    private = {"kind": "central-jdp", "epsilon": 8.0, "seeded_noise": True}
    result = Run(run(open_(privacy=private))).result
    (told,) = result["derived"]
    assert (told["key"], told["value"]) == (ROUNDS, result["rounds"])
    assert "popularity" in told["why"]


BUDGET = {"kind": "central-jdp", "epsilon": 1.0}


@pytest.mark.parametrize("clients", [943, 10_000, 10_001, 19_412, 22_363, 10**6, 123_456_789])
@pytest.mark.parametrize("algorithm", [{"kind": "ufgraphformer"}, {"kind": "fedmf"}])
def test_delta_suits_however_many_clients_there_are(clients, algorithm):
    """A fixed one would be refused above 10,000, or publish somebody whole."""
    experiment = build({"algorithm": algorithm, "privacy": BUDGET})
    facts = DataFacts(users=clients, items=1_000, interactions=50 * clients)
    setting, most = Setting(facts.items, clients, 8, 0), 1 / (10 * clients)
    found = derive(experiment, facts, setting)
    delta = found.mechanism.delta
    assert most / 2 < delta <= most or delta == 1e-5 <= most
    calibrate(found, model_in_use(found, setting), clients, Ledger(None))
    told = {each.key: each.value for each in found.derived}
    assert told.get("privacy.delta") == (delta if clients > 10_000 else None)


def test_a_delta_that_is_set_is_kept_and_auto_is_derived():
    facts, setting = DataFacts(20_000, 1_000, 10**6), Setting(1_000, 20_000, 8, 0)
    given = build({"privacy": BUDGET | {"delta": 1e-7}})
    assert derive(given, facts, setting).mechanism.delta == 1e-7
    said = build({"privacy": BUDGET | {"delta": "auto"}})
    assert said == build({"privacy": BUDGET})
    assert derive(said, facts, setting).mechanism.delta == 5e-6
