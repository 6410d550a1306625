"""A fusion among the baselines: its coefficients are fitted, and validated by halves."""

import json

import torch

from ufgraphfr.baselines.closed_forms import ClosedForms
from ufgraphfr.experiment.config import build
from ufgraphfr.experiment.fitted import fit_baseline, validate_baseline
from ufgraphfr.experiment.prepare import prepare


def test_coefficients_are_fitted_and_each_half_has_the_others(toy):
    prepared = prepare(build(toy(protocol={"cold_users": 0.0})))
    model = ClosedForms()
    fitted = fit_baseline(model, prepared, chunk=7)
    assert fitted["blend"].shape == (len(model.part_names(fitted)),)
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
