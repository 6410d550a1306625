"""A run with a guarantee: promised, paid, resumed without paying twice, and told in words."""

import json
from pathlib import Path

import pytest

from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.experiment.privacy_plan import calibrate, model_in_use, plan
from ufgraphfr.experiment.reading import build_beside
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.statement import statement

PRIVATE = {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4, "clip": 0.5}
FLAGSHIP = {"kind": "ufgraphformer", "private": {"graph_items": 10, "graph_share": 0.5}}


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def test_the_result_and_the_page_hold_the_guarantee(toy, run) -> None:
    folder = run(toy(privacy=PRIVATE))
    found = result(folder)
    assert found["privacy"]["epsilon"] == pytest.approx(4)
    assert found["privacy"]["parts"]["update"]["releases"] == 4
    assert found["guarantee"].startswith("user-level (4, 1e-04)-joint differential privacy")
    assert "epsilon = 4" in (folder / "privacy.md").read_text()
    assert [spend["round"] for spend in Ledger(folder / "ledger.jsonl").spends] == [1, 2, 3, 4]


def test_the_last_round_is_the_model_and_no_loss_is_told(toy, run) -> None:
    folder = run(toy(privacy=PRIVATE, evaluation={"every": 1}))
    assert result(folder)["best_round"] == 4
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == [None] * 4


@pytest.mark.parametrize(
    "privacy",
    [
        {"kind": "none"},
        {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4, "clip": 0.5, "seeded_noise": True},
    ],
)
def test_without_a_guarantee_there_is_no_epsilon(toy, run, privacy) -> None:
    folder = run(toy(privacy=privacy))
    found = result(folder)
    assert found["privacy"] is None
    assert found["guarantee"].startswith("no privacy guarantee")
    page = folder / "privacy.md"
    assert not page.exists() or "epsilon" not in page.read_text()


def test_seeded_noise_is_the_same_again_and_the_systems_is_not(toy, run) -> None:
    seeded = PRIVATE | {"seeded_noise": True}
    weights = [
        (run(toy(privacy=privacy), str(number)) / "model.safetensors").read_bytes()
        for number, privacy in enumerate((seeded, seeded, PRIVATE, PRIVATE))
    ]
    assert weights[0] == weights[1]
    assert weights[2] != weights[3]


def test_the_flagship_takes_the_form_that_its_budget_affords(toy, run) -> None:
    folder = run(toy(algorithm=FLAGSHIP, privacy=PRIVATE, federation={"rounds": 2}))
    found = result(folder)
    assert list(found["privacy"]["parts"]) == ["graph", "popularity"]
    assert any("graph: transitions among" in line for line in found["privacy"]["why"])
    assert found["privacy"]["epsilon"] == pytest.approx(4)


@pytest.mark.parametrize("sampling", ["rotation", pytest.param("poisson", marks=pytest.mark.slow)])
def test_training_under_a_budget_from_end_to_end(toy, run, sampling) -> None:
    algorithm = {"kind": "fedmf", "dim": 4}
    federation = {"rounds": 3, "cohort": 0.5, "sampling": sampling}
    folder = run(toy(algorithm=algorithm, privacy=PRIVATE | {"clip": 1.0}, federation=federation))
    found = result(folder)["privacy"]
    assert found["epsilon"] == pytest.approx(4, rel=1e-3)
    part = found["parts"]["update"]
    assert (part["first_round"], part["releases"]) == (1, 3)
    # in rotation half of the clients are asked in two of the three rounds, never in all
    assert part["participations"] == (2 if sampling == "rotation" else 3)
    assert part["rate"] == (None if sampling == "rotation" else 0.5)
    assert [spend["round"] for spend in Ledger(folder / "ledger.jsonl").spends] == [1, 2, 3]


def test_local_privacy_from_end_to_end(toy, run) -> None:
    privacy = {"kind": "ldp", "epsilon": 4, "delta": 1e-4}
    folder = run(
        toy(algorithm={"kind": "ufgraphformer"}, privacy=privacy, federation={"rounds": 1})
    )
    assert result(folder)["privacy"]["trust"] == "device"


@pytest.mark.parametrize("moment", ["in the noise", "after the round"])
def test_a_killed_run_goes_on_and_pays_for_no_round_twice(
    toy, tmp_path, monkeypatch, moment
) -> None:
    values = toy(privacy=PRIVATE, evaluation={"every": 1})
    steps = execute(build(values), tmp_path / "run", device="cpu")
    next(steps)
    if moment == "in the noise":

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("ufgraphfr.privacy.accounted.gaussian.NoisedSums._noise", killed)
            with pytest.raises(KeyboardInterrupt):
                next(steps)
    steps.close()
    for _ in execute(build(values), tmp_path / "run", resume=True, device="cpu"):
        pass
    spends = Ledger(tmp_path / "run" / "ledger.jsonl").spends
    assert [spend["round"] for spend in spends] == [1, 2, 3, 4]
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rounds = [json.loads(line)["round"] for line in lines]
    assert rounds == [1, 2, 3, 4]
    assert result(tmp_path / "run")["best_round"] == 4


def test_a_ledger_without_its_checkpoint_is_not_spent_again(toy, tmp_path) -> None:
    values = toy(privacy=PRIVATE)
    steps = execute(build(values), tmp_path / "run", device="cpu")
    next(steps)
    next(steps)
    steps.close()
    for path in (tmp_path / "run" / "personal" / "checkpoint").iterdir():
        path.unlink()
    rounds = [step.round for step in execute(build(values), tmp_path / "run", resume=True)]
    assert rounds == [3, 4]


def test_payments_that_were_removed_are_missed(toy, tmp_path) -> None:
    values = toy(privacy=PRIVATE)
    steps = execute(build(values), tmp_path / "run", device="cpu")
    next(steps)
    next(steps)
    steps.close()
    ledger = tmp_path / "run" / "ledger.jsonl"
    ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="ends with round 1, but 2 rounds were released"):
        list(execute(build(values), tmp_path / "run", resume=True, device="cpu"))


def test_a_private_form_says_how_many_rounds_it_takes(toy, run) -> None:
    with pytest.raises(InputError, match=r"popularity in 1, graph in 1 round.s.: set rounds = 2"):
        run(toy(algorithm=FLAGSHIP, privacy=PRIVATE))


@pytest.mark.parametrize("adversary", [None, {"kind": "reverse", "share": 0.1}])
def test_a_defence_has_no_place_after_clipping(adversary, toy, run) -> None:
    """It goes by single replies, of which there are none; told before anything is spent."""
    federation = {"defence": {"kind": "trimmed-mean"}, "adversary": adversary}
    with pytest.raises(InputError, match=r"'trimmed-mean' goes by single replies"):
        run(toy(privacy=PRIVATE, federation={k: v for k, v in federation.items() if v}))


def test_malformed_clients_meet_a_budget(toy, run) -> None:
    """Replies that cannot even be added up are refused as any other."""
    federation = {"rounds": 1, "adversary": {"kind": "malformed", "share": 0.4}}
    small = FLAGSHIP | {"private": {"graph_items": 0}}
    folder = run(toy(algorithm=small, privacy=PRIVATE, federation=federation))
    lines = (folder / "personal" / "metrics.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["rejected"].get("summed", 0) for line in lines) > 0


@pytest.mark.parametrize(
    ("data", "said", "unsaid"),
    [
        ({"interactions": "x"}, "The list of items is what people's rows hold", "min_item"),
        (
            {"interactions": "x", "items": "y", "items_from": "rows"},
            "Of the table of items those are left",
            "min_item",
        ),
        ({"interactions": "x", "items": "y", "k_core": 3}, "(min_item, k_core) is", "rows hold"),
        ({"interactions": "x", "k_core": 3}, "(min_item, k_core) is exact", "dates of the split"),
    ],
)
def test_a_statement_says_what_counts_as_public_and_is_of_people(toy, data, said, unsaid) -> None:
    values = {**toy(privacy=PRIVATE), "data": {"kind": "table", **data}}
    experiment, ledger = build(values), Ledger(None)
    calibrate(experiment, experiment.model, 100, ledger)
    uncovered = statement(ledger).partition("## What is not covered")[2]
    assert said in uncovered
    assert unsaid not in uncovered
    timed = build(values | {"protocol": {"split": "global-time"}})
    calibrate(timed, timed.model, 100, later := Ledger(None))
    assert "The two dates of the split follow from everybody's times" in statement(later)


def test_a_promise_of_a_release_that_said_less_is_kept(toy) -> None:
    experiment, ledger = build(toy(privacy=PRIVATE)), Ledger(None)
    calibrate(experiment, experiment.model, 100, ledger)
    del ledger.entries[0]["claim"]["uncovered"]
    calibrate(experiment, experiment.model, 100, ledger)
    ledger.entries[0]["claim"]["clients"] = 99
    with pytest.raises(InputError, match=r"promises something else \(clients\)"):
        calibrate(experiment, experiment.model, 100, ledger)


def test_upload_codecs_have_no_place_after_clipping(toy, run) -> None:
    federation = {"upload": {"codec": "int8"}}
    with pytest.raises(InputError, match="upload goes with updates that nothing protects"):
        run(toy(privacy=PRIVATE, federation=federation))


def test_an_algorithm_that_sums_before_clipping_is_refused(toy, run, monkeypatch) -> None:
    from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer

    monkeypatch.setattr(UFGraphFormer, "for_budget", lambda self, *_: self)
    with pytest.raises(InputError, match="adds up its clients' updates before any of them is"):
        run(toy(algorithm={"kind": "ufgraphformer"}, privacy=PRIVATE, federation={"rounds": 2}))


@pytest.mark.parametrize(
    ("federation", "participations", "rate"),
    [
        ({"cohort": 1.0}, 4, None),
        ({"cohort": 0.5}, 4, None),
        ({"cohort": 0.5, "sampling": "rotation"}, 2, None),
        ({"cohort": 0.5, "sampling": "poisson"}, 4, 0.5),
        ({"cohort": 1.0, "sampling": "poisson"}, 4, None),
    ],
)
def test_cohorts_decide_how_often_a_client_is_in(toy, federation, participations, rate) -> None:
    experiment = build(toy(privacy=PRIVATE, federation={"rounds": 4} | federation))
    prepared = prepare(experiment)
    model = model_in_use(experiment, prepared.setting)
    (participation,) = plan(experiment, model, len(prepared.split.warm)).participations
    assert (participation.rounds, participation.rate) == (participations, rate)


TABLE = {"kind": "table", "interactions": "rows.csv", "items": "items.csv"}


def shop(folder, missing=(), more=""):
    """Forty people and thirty listed items, of which some are in nobody's rows."""
    rows = [f"u{user},i{(7 * user + 3 * place) % 30}" for user in range(40) for place in range(9)]
    kept = [row for row in rows if row.split(",")[1] not in missing]
    (folder / "rows.csv").write_text("user,item\n" + "\n".join(kept) + "\n" + more)
    listed = "".join(f"i{item},Film {item},g{item % 3}\n" for item in reversed(range(30)))
    (folder / "items.csv").write_text("item,title,genre\n" + listed)


def of_shop(toy, folder, **changes):
    values = {**toy(privacy=PRIVATE), "data": {**TABLE, **changes}}
    values["algorithm"] = {"kind": "ufgraphformer"}
    values["federation"] = {"rounds": 1}
    return build_beside(values, folder)


def test_under_a_budget_the_items_are_those_of_their_file_whoever_has_them(toy, tmp_path, caplog):
    caplog.set_level("INFO")
    shop(tmp_path)
    everything = prepare(of_shop(toy, tmp_path))
    shop(tmp_path, missing={"i4"}, more="u1,unheard-of\nu2,unheard-of\n")
    without = prepare(of_shop(toy, tmp_path))
    listed = tuple(f"i{item}" for item in reversed(range(30)))
    assert everything.dataset.catalogue == without.dataset.catalogue
    assert everything.dataset.catalogue.items == listed
    assert everything.setting.items == without.setting.items == 30
    assert everything.dataset.cleaning.unlisted == 0
    assert without.dataset.cleaning.unlisted == 2
    assert "2 rows of items that are not in the table of items dropped" in caplog.text
    assert "1 items have no row, for example 'unheard-of'" in caplog.text
    # each row still names the item that it named
    rows, users = without.dataset.interactions, without.dataset.users.names
    told = {
        f"{users[user]},{listed[item]}" for user, item in zip(rows.user, rows.item, strict=True)
    }
    written = set((tmp_path / "rows.csv").read_text().split()[1:])
    assert told == {row for row in written if "unheard-of" not in row}


def test_the_items_of_rows_are_asked_for_by_name_and_are_said(toy, tmp_path):
    shop(tmp_path, missing={"i4"})
    experiment, ledger = of_shop(toy, tmp_path, items_from="rows"), Ledger(None)
    assert prepare(experiment).setting.items == 29
    calibrate(experiment, FedMF(), 100, ledger)
    assert "Of the table of items those are left" in statement(ledger)
    public = of_shop(toy, tmp_path)
    calibrate(public, FedMF(), 100, later := Ledger(None))
    assert "people's rows hold" not in statement(later)


def test_without_a_budget_the_items_are_those_of_rows_unless_asked_for(toy, tmp_path):
    shop(tmp_path, missing={"i4"})
    values = {**toy(), "data": TABLE}
    assert prepare(build_beside(values, tmp_path)).setting.items == 29
    asked = values | {"data": {**TABLE, "items_from": "table"}}
    assert prepare(build_beside(asked, tmp_path)).setting.items == 30
    lost = {"kind": "table", "interactions": "rows.csv", "items_from": "table"}
    with pytest.raises(InputError, match="needs the file of items"):
        build(values | {"data": lost})


def test_a_run_of_before_finds_the_items_that_it_had(toy, tmp_path, monkeypatch):
    shop(tmp_path, missing={"i4"})
    with monkeypatch.context() as then:
        then.setattr(TableSource, "under_budget", lambda self: self)
        list(execute(of_shop(toy, tmp_path), tmp_path / "before", device="cpu"))
    assert Run(tmp_path / "before").prepared(tmp_path).setting.items == 29
    list(execute(of_shop(toy, tmp_path), tmp_path / "now", device="cpu"))
    assert Run(tmp_path / "now").prepared(tmp_path).setting.items == 30
