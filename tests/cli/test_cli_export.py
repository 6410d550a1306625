"""``ufgraphfr export --public`` writes what the guarantee covers, and only that."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import one_row
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.checkpoint import save_checkpoint
from ufgraphfr.experiment.publish import publish
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.export.web.runtime import Runtime
from ufgraphfr.privacy.accounted.gaussian import NoisedSums

FILES = {"config.toml", "environment.json", "model.safetensors", "privacy.md"}
PRIVATE = {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4, "clip": 0.5}
VALUES = {
    "seed": 3,
    "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8},
    "text": {"kind": "hashing", "width": 16},
    "privacy": PRIVATE,
}
MODELS = {
    "fedmf": {"algorithm": {"kind": "fedmf", "dim": 4}, "federation": {"rounds": 2}},
    "fedncf": {"algorithm": {"kind": "fedncf", "dim": 4}, "federation": {"rounds": 2}},
    "fedrecon": {"algorithm": {"kind": "fedrecon"}, "federation": {"rounds": 1}},
    "nothing is sent": {"algorithm": {"kind": "local-only"}, "federation": {"rounds": 2}},
    "poisson": {
        "algorithm": {"kind": "fedmf", "dim": 4},
        "federation": {"rounds": 2, "cohort": 0.5, "sampling": "poisson"},
    },
    "flagship": {
        "algorithm": {"kind": "ufgraphformer", "private": {"graph_items": 9, "graph_share": 0.5}},
        "federation": {"rounds": 2},
    },
    "popularity alone": {"algorithm": {"kind": "ufgraphformer"}, "federation": {"rounds": 1}},
}


def trained(values, folder):
    list(execute(build(values), folder, device="cpu"))
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def same_releases(monkeypatch):
    """Whatever is added up, the same comes out: what still differs did not go through noise."""

    honest = NoisedSums.noised

    def noised(self, report, key):
        found = honest(self, report, key)
        same = {name: torch.full_like(value, key.round) for name, value in found.sums.items()}
        return replace(found, arrays=one_row(same))

    monkeypatch.setattr(NoisedSums, "noised", noised)


@pytest.fixture
def of_another_user(monkeypatch):
    """One user has a shorter history of other items, and another sentence."""
    load = Synthetic.load

    def other(self, data_dir=None):
        data = load(self, data_dir)
        rows, user = data.interactions, 3
        own = np.flatnonzero(rows.user == user)
        item = rows.item.copy()
        item[own] = (item[own] + 1) % rows.n_items
        keep = np.ones(len(item), bool)
        keep[own[5:]] = False
        stamps = None if rows.timestamp is None else rows.timestamp[keep]
        changed = replace(rows, user=rows.user[keep], item=item[keep], timestamp=stamps)
        texts = tuple(
            "another sentence" if u == user else t for u, t in enumerate(data.users.texts)
        )
        return replace(data, interactions=changed, users=replace(data.users, texts=texts))

    return lambda: monkeypatch.setattr(Synthetic, "load", other)


@pytest.mark.usefixtures("same_releases")
@pytest.mark.parametrize(
    "model",
    [
        # the accountant of secret cohorts takes a minute
        pytest.param(model, id=name, marks=pytest.mark.slow if name == "poisson" else ())
        for name, model in MODELS.items()
    ],
)
def test_nothing_that_is_exported_depends_on_a_user_but_by_a_release(
    tmp_path, model, of_another_user
):
    values = VALUES | model
    first = trained(values, tmp_path / "first")
    of_another_user()
    second = trained(values, tmp_path / "second")
    ranks = [(folder / "personal" / "ranks.parquet").read_bytes() for folder in (first, second)]
    assert ranks[0] != ranks[1]
    for folder in (first, second):
        publish(folder, tmp_path / f"{folder.name}-public")
    assert content(tmp_path / "first-public") == content(tmp_path / "second-public")
    # what is exported says the same as what lies beside personal/, but for a key and clocks
    shared = [json.loads((folder / "result.json").read_text()) for folder in (first, second)]
    for result in shared:
        result["data"].pop("digest")
        result.pop("ledger", None)
    assert shared[0] == shared[1]
    assert (first / "metrics.jsonl").read_bytes() == (second / "metrics.jsonl").read_bytes()
    assert (first / "privacy.md").read_bytes() == (second / "privacy.md").read_bytes()


def of_a_shop(folder, items_from, alone):
    """A run on a table in which one person has what nobody else has."""
    rows = [f"u{user},i{(user * 7 + k * k) % 19}" for user in range(20) for k in range(6)]
    folder.mkdir()
    (folder / "rows.csv").write_text("user,item\n" + "\n".join([*dict.fromkeys(rows), *alone]))
    listed = "".join(f"i{item},Film {item},g{item % 3}\n" for item in range(25))
    (folder / "items.csv").write_text("item,title,genre\n" + listed)
    files = {"interactions": str(folder / "rows.csv"), "items": str(folder / "items.csv")}
    data = {"kind": "table", **files, "items_from": items_from}
    trained(VALUES | {"data": data} | MODELS["popularity alone"], folder / "run")
    publish(folder / "run", folder / "public")
    lines = ("result.json", "metrics.jsonl", "privacy.md")
    shared = [(folder / "run" / name).read_text() for name in lines]
    result = json.loads(shared[0])
    result["data"].pop("digest")
    result.pop("ledger")
    exported = content(folder / "public")
    exported.pop("environment.json")
    exported.pop("config.toml")
    return exported, result | {"config_digest": None}, shared[1:]


@pytest.mark.usefixtures("same_releases")
@pytest.mark.parametrize(
    "alone", [["u3,i24"], ["u3,unheard-of"]], ids=["a listed item", "one that is not listed"]
)
def test_an_item_that_one_person_alone_has_is_not_told(tmp_path, alone):
    without = of_a_shop(tmp_path / "without", "auto", [])
    assert of_a_shop(tmp_path / "with", "auto", alone) == without
    # where people's rows say what there is, it is
    told = of_a_shop(tmp_path / "rows", "rows", [])
    assert of_a_shop(tmp_path / "rows-with", "rows", alone) != told


def test_the_folder_holds_the_public_model_and_no_path(cli, tmp_path):
    folder, place = trained(VALUES | MODELS["fedmf"], tmp_path / "run"), tmp_path / "a" / "public"
    told = cli("export", folder, "--public", place)
    assert told.code == 0, told.err
    assert {path.name for path in place.iterdir()} == FILES
    assert all(name.startswith("server/") for name in load_file(place / "model.safetensors"))
    assert "epsilon = 4" in (place / "privacy.md").read_text()
    for text in (told.out.split(":", 1)[1], *(path.read_bytes() for path in place.iterdir())):
        assert str(tmp_path) not in str(text)
    again = cli("export", folder, "--public", place)
    assert again.code == 2
    assert "never overwritten" in again.err


def test_files_of_the_data_are_not_named(tmp_path):
    rows = [f"u{user},i{(user * 7 + k * k) % 19}" for user in range(20) for k in range(6)]
    (tmp_path / "of-hospital-7.csv").write_text("user,item\n" + "\n".join(dict.fromkeys(rows)))
    data = {"kind": "table", "interactions": str(tmp_path / "of-hospital-7.csv")}
    values = VALUES | {"data": data} | MODELS["popularity alone"]
    publish(trained(values, tmp_path / "run"), tmp_path / "public")
    assert all(b"hospital" not in one for one in content(tmp_path / "public").values())


@pytest.mark.parametrize("privacy", [{"kind": "none"}, PRIVATE | {"seeded_noise": True}])
def test_a_run_without_a_guarantee_is_refused(tmp_path, privacy):
    folder = trained(VALUES | MODELS["fedmf"] | {"privacy": privacy}, tmp_path / "run")
    with pytest.raises(InputError, match="has no privacy guarantee"):
        publish(folder, tmp_path / "public")
    assert not (tmp_path / "public").exists()


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    folder = trained(VALUES | MODELS["fedmf"], tmp_path / "run")

    def fails(*_):
        raise OSError("no space left")

    monkeypatch.setattr("ufgraphfr.experiment.publish.statement", fails)
    with pytest.raises(OSError, match="no space left"):
        publish(folder, tmp_path / "public")
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_a_model_of_an_older_run_is_exported_without_private_weights(tmp_path):
    folder = trained(VALUES | MODELS["fedmf"], tmp_path / "run")
    whole = RunFolder(folder).load_model(torch.device("cpu"))
    assert whole.private
    (folder / "personal").rename(tmp_path / "kept")
    save_checkpoint(folder / "model.safetensors", whole)
    publish(folder, tmp_path / "public")
    assert all(n.startswith("server/") for n in load_file(tmp_path / "public/model.safetensors"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what: --public DIR, or --format onnx|web|predictions"),
        (("model.onnx",), "say what"),
        (("--format", "onnx"), "say what"),
        (("file", "--format", "onnx", "--public", "dir"), "say what"),
        (("file.html", "--format", "web", "--int8"), "--int8 goes with --format onnx"),
        (("page.html", "--format", "web", "-n", "3"), "-n and --columns go with"),
        (("lists.txt", "--format", "predictions"), "its name must end with one of .parquet"),
        (("model.onnx", "--format", "onnx"), "'fedmf' cannot be exported"),
        (("page.html", "--format", "web"), "'fedmf' cannot be exported"),
    ],
)
def test_what_cannot_be_exported_is_told(cli, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    folder = trained(VALUES | MODELS["fedmf"] | {"privacy": {"kind": "none"}}, tmp_path / "run")
    ended = cli("export", folder, *words)
    assert ended.code == 2
    assert said in ended.err
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_a_page_is_told_with_what_it_asks(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("ufgraphfr.export.web.page.runtime", lambda: Runtime(b"script", b"binary"))
    values = {"algorithm": {"kind": "ufgraphformer"}, "privacy": {"kind": "none"}}
    folder = trained(VALUES | values | {"federation": {"rounds": 2}}, tmp_path / "run")
    ended = cli("export", folder, tmp_path / "page.html", "--format", "web")
    assert ended.code == 0, ended.err
    assert "it asks for " in ended.out
    assert "no privacy guarantee: before you share the file, see ufgraphfr privacy" in ended.out
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_predictions_are_counted(cli, tmp_path):
    folder = trained(VALUES | MODELS["fedmf"] | {"privacy": {"kind": "none"}}, tmp_path / "run")
    out = tmp_path / "lists.csv"
    words = ("--format", "predictions", "-n", "4", "--columns", "ranx")
    ended = cli("export", folder, out, *words)
    assert ended.code == 0, ended.err
    lines = out.read_text().splitlines()
    assert lines[0] == "q_id,doc_id,score,rank,target"
    assert f"{len(lines) - 1} rows, the 4 best items of 30 users" in ended.out
