"""``describe``: every key of every kind is told, in words and as JSON, and on the site."""

import importlib.util
import json
from pathlib import Path

import pytest

from ufgraphfr.cli.kinds import every
from ufgraphfr.core.describe import keys_of, summary_of

KINDS = list(every())
SITE = Path(__file__).parents[2] / "docs" / "reference.py"


def described(cli, *words):
    ended = cli("describe", *words, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


@pytest.mark.parametrize(("place", "kind", "spec"), KINDS, ids=[each[1] for each in KINDS])
def test_every_key_says_what_it_means(place, kind, spec):
    assert kind
    assert len(summary_of(spec)) > 10
    keys = list(keys_of(spec))
    assert [key.name for key in keys if "." not in key.name] == list(spec.model_fields)
    assert not [key.name for key in keys if not key.meaning or not key.type], place


def test_keys_come_with_type_default_range_and_meaning(cli):
    (found,) = described(cli, "central-jdp")
    keys = {key["name"]: key for key in found["keys"]}
    assert found["table"] == "[privacy]"
    assert keys["epsilon"]["default"] == "required"
    assert (keys["delta"]["default"], keys["delta"]["range"]) == ("1e-05", "> 0, < 1")
    assert keys["trust"]["type"] == '"server" or "shard" or "secure-sum"'
    assert (keys["clip"]["type"], keys["clip"]["range"]) == ('number or "adaptive"', "> 0")
    assert (keys["row_cap"]["type"], keys["row_cap"]["default"]) == ("number", "none")
    assert keys["seeded_noise"]["meaning"].startswith("For tests")


def test_keys_of_nested_tables_and_their_former_names(cli):
    (found,) = described(cli, "ufgraphformer")
    keys = {key["name"]: key for key in found["keys"]}
    assert keys["graph"]["type"] == "table or false"
    assert keys["graph.rounds"]["default"] == "8"
    assert keys["adam.lr"]["renamed"] == ["lr"]
    assert keys["cold_users"]["renamed"] == ["newcomers"]
    assert keys["adam.betas"]["type"] == "list of numbers"


def test_a_table_and_a_part_that_names_a_kind(cli):
    (found,) = described(cli, "federation")
    keys = {key["name"]: key["type"] for key in found["keys"]}
    assert keys["adversary"] == "table with a kind"
    assert keys["upload.codec"] == '"float32" or "bfloat16" or "int8" or "int4"'


def test_one_name_may_be_several_kinds(cli):
    assert [each["table"] for each in described(cli, "none")] == [
        "[privacy]",
        "[federation.defence]",
    ]


def test_a_kind_of_ones_own_is_described(cli, tmp_path, monkeypatch):
    text = "from ufgraphfr.algorithms.fedmf import FedMF\n\nclass Mine(FedMF):\n    pass\n"
    (tmp_path / "described_kind.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    (found,) = described(cli, "described_kind.Mine")
    assert found["table"] == "[algorithm]"
    assert "server_lr" in [key["name"] for key in found["keys"]]


def test_a_metric_may_be_named_with_its_k(cli):
    assert described(cli, "recall@20") == described(cli, "recall")
    (found,) = described(cli, "recall@20")
    assert found["table"] == "[evaluation] metrics"
    assert "share of a user's targets" in found["summary"]


def test_without_a_name_all_kinds_are_listed(cli):
    assert [each["kind"] for each in described(cli)] == [each[1] for each in KINDS]
    ended = cli("describe")
    for place, kind, _ in KINDS:
        assert kind in ended.out
        assert place in ended.out


def test_people_read_tables_of_80_columns(cli):
    ended = cli("describe", "table")
    assert "columns.user" in ended.out
    assert 'on_bad_row = "error"' in " ".join(ended.out.split())
    assert max(len(line.rstrip()) for line in ended.out.splitlines()) <= 80


def test_an_unknown_kind_offers_the_nearest(cli):
    ended = cli("describe", "fedmv")
    assert ended.code == 2
    assert "did you mean 'fedmf'?" in ended.err


def test_the_site_has_every_key():
    spec = importlib.util.spec_from_file_location("reference", SITE)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    pages = reference.pages()
    named = (SITE.parents[1] / "mkdocs.yml").read_text()
    for path in pages:
        assert f": {path}\n" in named
    for place, kind, spec in KINDS:
        page = pages[f"reference/{reference.PAGES[place]}.md"]
        assert f"## {kind}\n" in page
        for key in keys_of(spec):
            assert f"| `{key.name}` | " in page
