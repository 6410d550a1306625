"""Every block of code in the documentation: commands are parsed, settings built, Python is run."""

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import click
import pytest
import typer

import ufgraphfr
from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.cli.main import app
from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import build, execute, read
from ufgraphfr.experiment.config import TABLES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language):
    """Of all pages, in their order."""
    found = []
    for page in PAGES:
        for place, (kind, text) in enumerate(BLOCK.findall(page.read_text()), start=1):
            if kind == language:
                # all contracts of an algorithm take ten seconds
                marks = [pytest.mark.slow] if "check_algorithm(" in text else []
                found.append(
                    pytest.param(text, id=f"{page.relative_to(ROOT)}-{place}", marks=marks)
                )
    return found


def commands(text):
    """The words after ``ufgraphfr`` of each of its lines, without those of the shell."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "${@:2}" in line:
            # the short form of the operator's page, which is parsed where it is used
            continue
        if words[:1] == ["at"]:
            words = ["ufgraphfr", "agent", "--shard", *words[1:]]
        starts = [
            place for place, word in enumerate(words) if word.rpartition("/")[2] == "ufgraphfr"
        ]
        for place in starts:
            if place and words[place - 1] in ("install", "-m", "pip"):
                continue
            own = words[place + 1 :]
            ends = [n for n, word in enumerate(own) if word in ("&&", "|", ";", ">", "&", "||")]
            yield own[: min(ends, default=len(own))]


def parsed(words):
    """Parse as the command line does, down to the last sub-command; nothing is called."""
    command, context, rest = typer.main.get_command(app), None, list(words)
    while isinstance(command, click.Group) and rest:
        if context is None and rest[0] in ("--version", "--help", "--install-completion"):
            return
        context = command.make_context(command.name, rest, parent=context)
        name, *rest = [*context._protected_args, *context.args]
        command = command.get_command(context, name)
        assert command is not None, f"no command {name}"
    command.make_context(command.name, rest, parent=context)


@pytest.mark.parametrize("text", blocks("sh"))
def test_a_command_is_one_that_there_is(text):
    for words in commands(text):
        if words and "..." not in words:
            parsed(words)


def test_a_flag_that_there_is_not_would_be_noticed():
    with pytest.raises((click.UsageError, InputError)):
        parsed(["run", "x.toml", "--quick"])
    with pytest.raises((click.UsageError, InputError)):
        parsed(["rnu", "x.toml"])
    (words,) = commands(".venv/bin/ufgraphfr run \\\n  x.toml --seed 1 # why\n")
    assert words == ["run", "x.toml", "--seed", "1"]


@pytest.mark.parametrize("text", blocks("toml"))
def test_settings_are_an_experiment(text):
    values = tomllib.loads(text)
    if not values.keys() & set(TABLES):
        pytest.skip("no experiment")
    if "." in values.get("algorithm", {}).get("kind", ""):
        values["algorithm"] = {"kind": "fedmf"}
    data = values.get("data", {})
    if data.keys() - {"kind", "profile_values"}:
        values["data"] = {"kind": "table", "interactions": "rows.csv"} | data
    build(values)


@pytest.fixture
def films(tmp_path, monkeypatch):
    """A small data set like MovieLens, where the blocks look for experiments and runs."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{u},{1 + (7 * u + 3 * i) % 59},{i}" for u in range(1, 41) for i in range(12)]
    titles = [f"{i},{'Toy Story (1995)' if i == 7 else f'Film {i} (1995)'}" for i in range(1, 60)]
    ages = [f"{u},{20 + u % 30}" for u in range(1, 41)]
    for name, head, lines in (
        ("rows.csv", "user,item,timestamp", rows),
        ("items.csv", "item,title", titles),
        ("users.csv", "user,age", ages),
    ):
        (tmp_path / name).write_text("\n".join([head, *lines]))
    toy = """
[data]
kind = "table"
interactions = "../rows.csv"
items = "../items.csv"
users = "../users.csv"
[text]
kind = "hashing"
[algorithm]
kind = "ufgraphformer"
dim = 4
[federation]
rounds = 10
cohort = 20
"""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "quickstart.toml").write_text(toy)
    experiment = read(tmp_path / "experiments" / "quickstart.toml")
    for name in ("quickstart", "ml100k-ufgraphfr"):
        list(execute(experiment, tmp_path / "runs" / name, device="cpu"))
    monkeypatch.setattr(ufgraphfr, "load_data", lambda name: name)
    monkeypatch.syspath_prepend(str(ROOT / "examples"))


@pytest.mark.parametrize("text", blocks("python"))
@pytest.mark.usefixtures("films")
def test_python_runs(text):
    names = {"ufgraphfr": ufgraphfr, "FedFoo": FedMF, "__name__": "block"}
    if "ufgraphfr.run(" in text:
        shutil.rmtree("runs/quickstart")
    exec(compile(text.replace('"rounds": 60', '"rounds": 10'), "block", "exec"), names)
    for name, value in list(names.items()):
        if name.startswith("test_"):
            value()


def test_a_tracker_of_the_documentation_is_told(tmp_path):
    (text,) = [each.values[0] for each in blocks("python") if "class Csv" in each.values[0]]
    names = {"__name__": "block"}
    exec(compile(text, "block", "exec"), names)
    run = ufgraphfr.trackers.TrackedRun("toy", tmp_path, {}, 1)
    log = names["Csv"]().begin(run)
    log.log(3, {"loss": 0.5})
    log.finish({})
    assert (tmp_path / "figures.csv").read_text() == "3,loss,0.5\n"
