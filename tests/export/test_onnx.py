"""An exported model says what the run says, whatever the run's parts are."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.export.onnx.file import exported
from ufgraphfr.export.onnx.measured import cost, given, session
from ufgraphfr.export.onnx.tables import counted, counted_in_units
from ufgraphfr.serve.model import Model

SMALL = {"dim": 8, "heads": 2, "history": 6, "cold_users": {"latest": 3, "width": 2}}
VALUES = {
    "seed": 4,
    "data": {"kind": "synthetic", "users": 40, "items": 48, "interactions": 12},
    "text": {"kind": "hashing", "width": 80},
    "algorithm": {"kind": "ufgraphformer", **SMALL},
    "federation": {"rounds": 12},
    "evaluation": {"every": 12},
}
FORMS = {
    "as it comes": {},
    "a graph that was never finished": {"graph": {"rounds": 20}},
    "strongest links": {"graph": {"dense_items": 1, "neighbors": 4}},
    "few directions": {"graph": {"rank": 3}},
    "heavier tails": {"squash": "root"},
    "cold items": {"cold_items": {}},
    "no LightGCN": {"lightgcn": False},
    "what they began with": {"cold_users": {"basis": "began", "latest": 3, "width": 2}},
    "no cold users, no head": {"cold_users": False, "head": False},
    "a graph alone": {"transformer": False},
    "a Transformer alone": {"graph": False, "cold_users": False},
    "no text": {"text": False, "profile": False},
}
BENDING = [
    {"absence": True},
    {"history_length": True},
    {"history_length": True, "absence": True},
]


def trained(folder, data=VALUES["data"], **algorithm):
    values = VALUES | {"data": data, "algorithm": VALUES["algorithm"] | algorithm}
    list(execute(build(values), folder, device="cpu"))
    run = Run(folder)
    return run, run.prepared()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "run")


def shortened(prepared, user, length):
    """A user with the first so many items alone."""
    one = prepared.batch.select(torch.tensor([user]))
    return one.with_history(torch.tensor([0, length]), one.items[:length])


@pytest.mark.parametrize("form", FORMS)
def test_scores_and_what_they_are_made_of_are_those_of_the_run(tmp_path, form):
    # of nobody and nothing rounding alone would speak
    shortest = 1 if form == "a graph that was never finished" else 0
    says_the_same(*trained(tmp_path / "run", **FORMS[form]), shortest)


@pytest.mark.parametrize("bending", BENDING, ids=" and ".join)
def test_weights_that_bend_do_so_in_a_file(tmp_path, bending):
    run, prepared = trained(tmp_path / "run", **bending)
    # whatever validation chose
    blend = run.checkpoint.server["blend"]
    run.checkpoint.server["blend"] = torch.linspace(-1, 2, len(blend))
    says_the_same(run, prepared)


@pytest.mark.parametrize("graph", [{}, {"dense_items": 1, "neighbors": 4, "local_links": 3}])
def test_a_model_of_histories_without_order_too(tmp_path, graph):
    data = unordered(tmp_path / "rows.csv")
    run, prepared = trained(tmp_path / "run", data, graph=graph)
    # whatever validation chose: each part has a say
    run.checkpoint.server["blend"] = torch.ones_like(run.checkpoint.server["blend"])
    says_the_same(run, prepared)


def says_the_same(run, prepared, shortest=0):
    """The exported file, of users with histories of several lengths."""
    model, asked = (
        Model.of(run, prepared.setting),
        session(exported(run, prepared).SerializeToString()),
    )
    for user, length in ((0, shortest), (1, 1), (2, 3), (3, 4), (4, 10)):
        away = torch.tensor([(0.0, 7_200.0, 4e5, 3e6, 9e9)[user]], dtype=torch.float64)
        one = replace(shortened(prepared, user, length), away=away)
        scores, from_history, added = asked.run(None, given(asked, one))
        assert scores == pytest.approx(model.score(one)[0].numpy(), abs=1e-4)
        assert from_history == pytest.approx(model.from_history(one)[0].numpy(), abs=1e-4)
        parts = {name: own[0].numpy() for name, own in model.added(one).items()}
        assert json.loads(asked.get_modelmeta().custom_metadata_map["parts"]) == list(parts)
        assert added == pytest.approx(np.stack([*parts.values()]), abs=1e-4)


PRIVATE = {"kind": "central-jdp", "epsilon": 4000, "delta": 1e-4}
COLOURS = ["red", "orange", "yellow", "green"]
BUDGETS = {
    "popularity": ({}, {"graph_items": 0}, 1),
    "graph": ({}, {"graph_items": 9, "graph_share": 0.5, "graph_weight": 0.7}, 2),
    "pairs": (None, {"graph_items": 9, "graph_share": 0.5, "graph_weight": 0.7}, 2),
    "profile": (
        {"profile_values": {"favourite colour": COLOURS}},
        {"graph_items": 0, "profile_share": 0.4},
        2,
    ),
    "no head": ({}, {"graph_items": 0, "head": False}, 1),
}


def unordered(path):
    """A table without times."""
    rows = [f"{user},{user * 7 % 23 + 2 * place}" for user in range(40) for place in range(12)]
    path.write_text("\n".join(["user,item", *rows]))
    return {"kind": "table", "interactions": str(path)}


@pytest.mark.parametrize("form", BUDGETS)
def test_a_model_under_a_budget_too(tmp_path, form):
    data, keys, rounds = BUDGETS[form]
    values = VALUES | {
        "data": unordered(tmp_path / "rows.csv") if data is None else VALUES["data"] | data,
        "algorithm": {"kind": "ufgraphformer", "private": keys},
        "privacy": PRIVATE,
        "federation": {"rounds": rounds},
    }
    list(execute(build(values), tmp_path / "run", device="cpu"))
    run = Run(tmp_path / "run")
    prepared = run.prepared()
    assert (run.checkpoint.server["directions"].shape[1] > 0) == (form == "profile")
    model = Model.of(run, prepared.setting)
    asked = session(exported(run, prepared).SerializeToString())
    for user, length in ((0, 0), (1, 1), (4, 10)):
        one = shortened(prepared, user, length)
        scores, _, added = asked.run(None, given(asked, one))
        assert scores == pytest.approx(model.score(one)[0].numpy(), abs=1e-4)
        parts = {name: own[0].numpy() for name, own in model.added(one).items()}
        facts = asked.get_modelmeta().custom_metadata_map
        assert json.loads(facts["parts"]) == list(parts)
        assert added == pytest.approx(np.stack([*parts.values()]), abs=1e-4)
        assert "(4e+03, 1e-04)-joint differential privacy" in facts["guarantee"]


def test_int8_is_smaller_and_what_it_costs_is_measured(plain, monkeypatch):
    run, prepared = plain
    # whatever validation chose: the Transformer, whose vectors are rounded, has a say
    alike = torch.ones_like(run.checkpoint.server["blend"])
    monkeypatch.setitem(run.checkpoint.server, "blend", alike)
    exact, small = (
        exported(run, prepared, int8=int8).SerializeToString() for int8 in (False, True)
    )
    assert len(small) < len(exact)
    none, some = cost(exact, run, prepared), cost(small, run, prepared)
    assert none.users == some.users == 40
    assert none.largest < 1e-4 < some.largest
    assert none.overlap == 1.0 > some.overlap > 0.6


def test_counts_beyond_a_byte_and_noised_ones_are_kept(plain):
    """Tables whose counts are large, or no counts at all."""
    run, prepared = plain
    kept = dict(run.checkpoint.server)
    for grown in (400, 1.37):
        for name in ("graph.cosine", "graph.next", "graph.cooccurrence", "graph.step"):
            run.checkpoint.server[name] = kept[name] * grown
        one = shortened(prepared, 5, 9)
        scores = session(exported(run, prepared).SerializeToString()).run(
            ["scores"], {"history": one.items.numpy(), "profile": one.text[0].numpy()}
        )[0]
        assert scores == pytest.approx(run.score(prepared)(one)[0].numpy(), abs=1e-4)
    run.checkpoint.server.update(kept)


def test_what_pairs_weigh_costs_no_bytes(plain):
    """Of tables of what clients counted one half is stored, in bytes."""
    run, prepared = plain
    constants = exported(run, prepared).graph.initializer
    assert [48, 48] not in [list(each.dims) for each in constants]


def test_multiples_of_a_number_are_told_with_it():
    table = np.array([[0.0, 1.4, 2.1], [1.4, 0.0, 350.0]], np.float32)
    whole, unit = counted_in_units(table, 7)
    assert whole.tolist() == [[0, 2, 3], [2, 0, 500]]
    assert unit == pytest.approx(0.7)
    # of the smallest number there are more parts than asked for
    assert counted_in_units(table, 1) == (None, 1.0)
    assert counted_in_units(table * 0, 7) == (None, 1.0)


def test_whole_numbers_are_told_from_others():
    assert counted(np.array([[0.0, 3.0004]])).tolist() == [[0, 3]]
    assert counted(np.array([[0.0, 3.2]])) is None
    assert counted(np.array([[-1.0, 3.0]])) is None


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"algorithm": {"kind": "fedmf", "dim": 4}, "federation": {"rounds": 1}}, "'fedmf'"),
        ({"algorithm": {"kind": "ease"}}, "'ease'"),
    ],
)
def test_what_cannot_be_exported_is_told_in_a_line(tmp_path, values, named):
    list(execute(build(VALUES | values), tmp_path / "run", device="cpu"))
    run = Run(tmp_path / "run")
    with pytest.raises(InputError, match=f"^{named} cannot be exported .* predictions$"):
        exported(run, run.prepared())
