"""The ``data`` commands say what the data sets hold."""

import hashlib
import json
import zipfile
from dataclasses import asdict, replace

import pytest
from typer.testing import CliRunner

from ufgraphfr.cli.data import app
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.interactions import Cleaning
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.data.sources.ml_1m import MovieLens1M


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*words: str) -> str:
        result = CliRunner().invoke(app, list(words), catch_exceptions=True)
        if result.exception is not None:
            raise result.exception
        return result.output

    return invoke


@pytest.fixture
def likes(tmp_path):
    rows = [f"{user},{item},{item}" for user in ("ann", "bob") for item in range(4)]
    (tmp_path / "likes.csv").write_text("\n".join(["user,item,timestamp", *rows, "ann,0,9"]))
    return tmp_path


def test_list_names_every_kind(run):
    output = run("list")
    for kind in SOURCES.kinds:
        assert kind in output
    assert "100,000" in output


def test_describe_for_people(run):
    output = run("describe", "synthetic", "--set", "users=30", "--set", "order=chain")
    assert "A person whose favourite colour is red." in output
    assert "600" in output


def test_describe_for_programs(run, likes):
    output = run(
        "describe", "table", "--data-dir", str(likes), "--set", "interactions=likes.csv", "--json"
    )
    facts = json.loads(output)
    assert facts["found"] == {"users": 2, "items": 4, "interactions": 8}
    assert facts["cleaning"] == asdict(Cleaning(repeated_pairs=1))
    assert facts["sentence"] == "A user of the catalogue."
    assert len(facts["sha256"]) == 64


def test_counts_that_differ_from_the_card_are_shown(run, tmp_path):
    rows = [f"1::{item}::5::{item}" for item in range(1, 5)]
    (tmp_path / "ratings.dat").write_text("\n".join(rows))
    (tmp_path / "users.dat").write_text("1::F::1::10::00000\n")
    (tmp_path / "movies.dat").write_text("1::Some Film (1990)::Drama\n")
    output = run("describe", "ml-1m", "--data-dir", str(tmp_path))
    assert "1  (the card says 6,040)" in output
    assert "Some Film (1990)" in output


def test_fetch_says_what_lies_where(run, tmp_path, monkeypatch):
    """From the cache: that what is not there is downloaded is tested with the sources."""
    monkeypatch.setenv("UFGRAPHFR_CACHE", str(tmp_path))
    path = tmp_path / "datasets" / "ml-1m" / "ml-1m.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("ratings.dat", "".join(f"1::{i}::5::{i}\n" for i in range(4)))
        packed.writestr("users.dat", "1::F::1::10::00000\n")
        packed.writestr("movies.dat", "1::Some Film (1990)::Drama\n")
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    here = replace(MovieLens1M.packed, digest=f"md5:{digest}")
    monkeypatch.setattr(MovieLens1M, "packed", here)
    output = run("fetch", "ml-1m")
    assert output.startswith("MovieLens 1M: 1 users, 4 items, 4 interactions in ")
    assert output.rstrip().endswith("ml-1m")


def test_errors_of_the_input_are_raised_for_the_command_line(run):
    with pytest.raises(InputError, match="did you mean 'synthetic'"):
        run("describe", "syntetic")
    with pytest.raises(InputError, match="KEY=VALUE"):
        run("describe", "synthetic", "--set", "users")
    with pytest.raises(InputError, match="nothing to fetch for 'synthetic'"):
        run("fetch", "synthetic")
    with pytest.raises(InputError, match="by hand"):
        run("fetch", "hetrec2011-movielens-2k")
