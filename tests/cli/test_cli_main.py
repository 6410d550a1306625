"""Exit codes, help and errors of the whole command line."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

import ufgraphfr
from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.baselines import BASELINES
from ufgraphfr.cli.doctor import EXTRAS
from ufgraphfr.cli.main import app
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.text import ENCODERS

COMMANDS = ("run", "compare", "recommend", "describe", "doctor", "data")


def commands(command, context, path=()):
    """Every command below one, with the words that call it."""
    yield path, command
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        below = command.get_command(context, name)
        yield from commands(below, typer.Context(below, parent=context), (*path, name))


WHOLE = typer.main.get_command(app)
ALL = list(commands(WHOLE, typer.Context(WHOLE)))


def test_help_names_every_command(cli):
    ended = cli("--help")
    assert ended.code == 0
    for command in COMMANDS:
        assert f" {command} " in ended.out


@pytest.mark.parametrize(
    "words", [(c,) for c in COMMANDS] + [("data", c) for c in ("list", "describe", "fetch")]
)
def test_every_command_has_help(cli, words):
    ended = cli(*words, "--help")
    assert ended.code == 0
    assert "Usage: ufgraphfr" in ended.out
    assert max(len(line.rstrip()) for line in ended.out.splitlines()) <= 80


@pytest.mark.parametrize("words", [path for path, _ in ALL])
def test_help_says_all_that_is_written(cli, monkeypatch, words):
    """A word in brackets is a style in some markups, and is not shown."""
    monkeypatch.setenv("COLUMNS", "1000")
    command = dict(ALL)[words]
    shown = " ".join(cli(*words, "--help").out.split())
    parameters = (getattr(each, "help", None) for each in command.params)
    for text in (command.help, *parameters):
        for bracketed in re.findall(r"\[[^\]]*\]", text or ""):
            assert bracketed in shown


def test_run_help_lists_every_kind(cli):
    text = " ".join(cli("run", "--help").out.split())
    for registry in (SOURCES, ENCODERS, ALGORITHMS, BASELINES, MECHANISMS):
        assert ", ".join(registry.kinds) in text
    assert "[privacy]" in text


def test_version(cli):
    ended = cli("--version")
    assert (ended.code, ended.out) == (0, f"ufgraphfr {ufgraphfr.__version__}\n")


def test_a_command_loads_what_it_needs_alone():
    asked = "import sys, ufgraphfr.cli.main as it; it.app(['--version'], standalone_mode=False)"
    heavy = "print([name for name in ('torch', 'polars', 'pydantic') if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", f"{asked}; {heavy}"], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_nearest_command_is_offered(cli):
    ended = cli("comparee")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: no command 'comparee': did you mean 'compare'?")


def test_an_experiment_that_ships_runs_by_its_name(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = cli("run", "ml100k/popularity", "--set", "data.kind=synthetic")
    assert ended.code == 0, ended.err
    assert list(tmp_path.glob("runs/*/result.json"))
    assert "did you mean 'ml100k/popularity'?" in cli("run", "ml100k/popularty").err


def test_bad_input_ends_with_one_line_and_code_2(cli, toy):
    ended = cli("run", toy, "--set", "algorithm.leaning_rate=1")
    assert ended.code == 2
    # the table's name is text, not markup
    assert ended.err.startswith("error: [algorithm] has no key 'leaning_rate': ")
    assert ended.err.count("\n") == 1
    assert ended.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "nofile.toml"),
        ("run", "--frobnicate"),
        ("compare",),
        ("compare", "nowhere"),
        ("recommend", "nowhere"),
        ("recommend", "nowhere", "--user", "1"),
        ("data", "describe", "nothing"),
        ("frobnicate",),
    ],
)
def test_what_is_wrong_ends_with_code_2_and_no_traceback(cli, words):
    ended = cli(*words)
    assert ended.code == 2
    assert ended.err
    assert "Traceback" not in ended.err


def test_doctor_tells_versions_and_kinds(cli):
    ended = cli("doctor")
    assert ended.code == 0
    for text in (ufgraphfr.__version__, "torch 2", "cache", "GPU", "nothing that is needed"):
        assert text in ended.out
    for kind in (*ALGORITHMS.kinds, *BASELINES.kinds):
        assert kind in ended.out


def test_doctor_tells_what_is_missing(cli, monkeypatch):
    monkeypatch.setattr("ufgraphfr.cli.doctor.PACKAGES", ("torch", "not-there"))
    monkeypatch.setattr("ufgraphfr.cli.doctor.EXTRAS", {"extra": ("[text] x", ("no_such",))})
    ended = cli("doctor")
    assert "missing: not-there; install it with pip install not-there" in ended.out
    assert "optional: [text] x needs no_such; pip install 'ufgraphfr[extra]'" in ended.out
    assert "something is missing" in ended.out


def test_doctor_knows_every_extra():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert EXTRAS.keys() == project["project"]["optional-dependencies"].keys()


@pytest.mark.parametrize(
    ("word", "looks"), [("describe", True), ("agent", False), ("deploy", False)]
)
def test_who_serves_others_imports_nothing_from_the_current_folder(
    cli, tmp_path, monkeypatch, word, looks
):
    monkeypatch.chdir(tmp_path)
    if not looks:
        # as `python -m ufgraphfr` and an empty PYTHONPATH put it there
        monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    cli(word, "--help")
    assert (str(tmp_path) in sys.path) == looks
    assert "" not in sys.path


def test_python_m_is_the_command_line():
    words = [sys.executable, "-m", "ufgraphfr", "--version"]
    found = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.startswith("ufgraphfr ")


def test_a_key_of_the_release_before_is_read_and_told_in_one_line(cli, toy, tmp_path):
    toy.write_text(toy.read_text().replace("baselines", "yardsticks"))
    ended = cli("run", toy, "--out", tmp_path / "run")
    assert ended.code == 0
    told = [line for line in ended.err.splitlines() if "yardsticks" in line]
    assert told == [
        "warning: yardsticks is called baselines now; the old name is read until the next release"
    ]
