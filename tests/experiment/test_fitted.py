"""A fusion among the baselines: its coefficients are fitted, and validated by halves."""

import json
from io import StringIO

import pytest
import torch
from rich.console import Console

from ufgraphfr.baselines.closed_forms import ClosedForms
from ufgraphfr.baselines.ials import Ials
from ufgraphfr.cli.results import show_result
from ufgraphfr.experiment.blend import blend_rows, described
from ufgraphfr.experiment.config import build
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.fitted import fit_baseline, validate_baseline
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.ops.bends import sets_of


def test_coefficients_are_fitted_and_each_half_has_the_others(toy):
    prepared = prepare(build(toy(protocol={"cold_users": 0.0})))
    model = ClosedForms()
    fitted = fit_baseline(model, prepared, chunk=7)
    assert fitted["blend"].shape == (sets_of(True, False) * len(model.part_names(fitted)),)
    assert fitted["blend.halves"].shape == (2, len(fitted["blend"]))
    halves = torch.stack((torch.zeros_like(fitted["blend"]), fitted["blend"]))
    swapped = fitted | {"blend.halves": halves}
    found = validate_baseline(model, swapped, prepared, chunk=7)
    kept = validate_baseline(model, fitted, prepared, chunk=7)
    even = found.users % 2 == 0
    # the half whose weights are zero has nothing but ties
    assert len(set(found.full[even])) < len(set(kept.full[even]))
    assert (kept.full[even] <= found.full[even]).mean() > 0.5


def test_it_runs_beside_a_model_and_alone_alike(toy, run):
    beside = json.loads(
        (run(toy(evaluation={"baselines": ["closed-forms"]})) / "result.json").read_text()
    )
    alone = json.loads(
        (run(toy(algorithm={"kind": "closed-forms"}), "alone") / "result.json").read_text()
    )
    assert alone["algorithm"] == "closed-forms"
    for part in ("validation", "test", "cold"):
        assert beside["baselines"]["closed-forms"][part] == alone[part]


def test_a_result_and_the_screen_tell_the_coefficients(toy, run):
    for kind in ("closed-forms", "ufgraphformer"):
        folder = run(toy(algorithm={"kind": kind}), kind)
        told = json.loads((folder / "result.json").read_text())["blend"]
        memory = Run(folder).checkpoint.server
        parts = told["parts"]
        assert len({own["part"] for own in parts}) == len(parts)
        kept = memory["blend"].tolist()
        assert [own["weight"] for own in parts] == kept[: len(parts)]
        assert kept[len(kept) - len(told["not_fitted"]) :] == told["not_fitted"]
        assert sum(own["share"] for own in parts) == pytest.approx(1, abs=1e-5)
        console = Console(record=True, width=100, file=StringIO())
        show_result(console, folder / "result.json")
        shown = console.export_text()
        assert f"coefficients by the length of the history: {told['chosen']}" in shown
        largest = max(parts, key=lambda own: own["share"])
        assert f"{largest['part']} " in shown
        assert f"{largest['share']:.0%}" in shown


@pytest.mark.parametrize(
    ("weights", "kind"),
    [
        ([1.0, 1.0, 1.0], "all parts alike"),
        ([1.0, 0.0, 1.0], "some parts alike"),
        ([0.0, 1.0, 0.0], "b alone"),
        ([1.0, 0.5, 0.0], "fitted"),
    ],
)
def test_the_kind_of_a_blend_is_read_from_its_weights(weights, kind):
    told = described(("a", "b", "c"), {"blend": torch.tensor([*weights, 4.0])}, 1)
    assert told["chosen"] == kind
    assert [own["share"] for own in told["parts"]] == [None, None, None]
    assert told["not_fitted"] == [4.0]


def test_weights_are_told_as_they_bend():
    added = torch.zeros(sets_of(True, True), 2)
    added[0], added[3], added[4, 1] = torch.ones(2), torch.tensor([0.5, -2.0]), 0.25
    added[1] = torch.tensor([-1.0, 0.5])
    told = described(("a", "b"), {"blend": torch.cat((added.flatten(), torch.tensor([4.0])))}, 1)
    assert told["chosen"] == "fitted"
    assert told["not_fitted"] == [4.0]
    one, other = (own["away"] for own in told["parts"])
    assert [own["weight"] for own in told["parts"]] == [1.0, 1.0]
    assert [own["long"] for own in told["parts"]] == [0.0, 1.5]
    assert one == {"day": 1.0, "week": 1.5, "month": 1.5, "half year": 1.5}
    assert other == {"day": 1.0, "week": -1.0, "month": -0.75, "half year": -0.75}
    head, rows = blend_rows(told)
    assert head[1:3] == ("visit", "day")
    assert head[5:] == ("half year", "long history", "share")
    assert rows[0] == ("a", "1.00", "1.00", "1.50", "1.50", "1.50", "0.00", "-")


def test_a_table_of_weights_has_the_columns_that_they_bend_with():
    names, blend = ("a", "b"), torch.tensor([1.0, 0.0, -0.5, 0.0])
    head, rows = blend_rows(described(names, {"blend": blend}, 0))
    assert head == ("part", "short history", "long history", "share")
    assert rows == [("a", "1.00", "0.50", "-")]
    head, _ = blend_rows(described(names, {"blend": blend[:2]}, 0))
    assert head[1] == "coefficient"
    blend = torch.cat((blend[:2], torch.zeros(8)))
    assert "long history" not in blend_rows(described(names, {"blend": blend}, 0))[0]


def test_a_model_without_parts_has_no_blend(toy, run):
    folder = run(toy(algorithm={"kind": "popularity"}))
    assert json.loads((folder / "result.json").read_text())["blend"] is None


def test_a_baseline_that_draws_does_so_by_the_seed_of_the_run(toy):
    def items(seed, own=0):
        prepared = prepare(build(toy() | {"seed": seed}))
        return fit_baseline(Ials(dim=4, epochs=1, seed=own), prepared, chunk=64)["items"]

    assert not torch.equal(items(0), items(1))
    assert torch.equal(items(1), items(0, own=1))
