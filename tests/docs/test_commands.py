"""The pages' shell commands, run as they stand, by bash, in a folder such as the pages speak of.

`test_blocks` parses every command. These are the pages for who trains, looks and recommends on one
machine; those of a deployment are run by `tests/deploy/flower` and `make federation-life`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ufgraphfr.experiment import execute, read

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/data.md",
    "docs/exporting.md",
    "docs/howto/explain-it.md",
    "docs/howto/my-algorithm.md",
    "docs/howto/my-table.md",
    "docs/quickstart.md",
    "docs/recommending.md",
    "docs/reporting.md",
    "docs/serving.md",
    "docs/tuning.md",
    "docs/workers.md",
)
LEFT_OUT = {
    "make ": "a target of its own, run by continuous integration or by whoever asks for it",
    "ufgraphfr tune ml100k/fedmf": "it asks for MovieLens, which tests do not fetch",
    "kill -HUP": "the server is turned to another run by tests/serve",
    "--format web": "its runtime comes from the npm registry; tests/export has one at hand",
    "curl ": "bodies of requests are posted by tests/serve",
}
"""Lines with these words, and why."""
TOY = """
[data]
kind = "table"
interactions = "{up}ratings.csv"
items = "{up}items.csv"
users = "{up}users.csv"
[text]
kind = "hashing"
[algorithm]
kind = "ufgraphformer"
dim = 4
[federation]
rounds = 10
cohort = 20
"""
PRIVATE = """
[data]
kind = "synthetic"
users = 60
[text]
kind = "hashing"
[algorithm]
kind = "ufgraphformer"
[privacy]
kind = "central-jdp"
epsilon = 8
"""
TUNED = """
[data]
kind = "synthetic"
users = 30
[algorithm]
kind = "fedmf"
dim = 4
[federation]
rounds = 2
[tune.search.algorithm]
lr = { low = 0.01, high = 1.0, log = true }
"""
BESIDE = """
[data]
kind = "synthetic"
[text]
kind = "hashing"
[algorithm]
kind = "fedmf"
[federation]
rounds = 3
"""
WRITTEN = {
    "ufgraphfr new mine.toml": "mine.toml",
    "ufgraphfr new my.toml": "my.toml",
    "ufgraphfr run experiments/quickstart.toml": "runs/quickstart",
}
"""What commands write, by their words."""
FILMS = {1: "Toy Story (1995)", 50: "Star Wars (1977)", 181: "Return of the Jedi (1983)"}
BOOKS = {1: "Emma", 2: "Frankenstein"}
SHIM = """#!/bin/sh
# a server ends when it has had time to start: nobody here would look at it
case "$1" in
serve) timeout --preserve-status 20 "{python}" -m ufgraphfr "$@" || test $? -eq 143 ;;
*) exec "{python}" -m ufgraphfr "$@" ;;
esac
"""


def commands(page: str) -> list[str]:
    """The lines of a page's shell blocks, continued ones as one."""
    texts = re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    lines = "\n".join(texts).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def write_tables(folder: Path) -> None:
    """Tables of films and of books, with the titles that the pages name."""
    trades = ("artist", "doctor", "writer")
    rows = [f"{u},{1 + (7 * u + 3 * i) % 190},{i}" for u in range(1, 61) for i in range(14)]
    rows += [f"{u},{film},{20 + film}" for u in range(1, 31) for film in FILMS]
    films = [f'{i},"{FILMS.get(i, f"Film {i} (1990)")}"' for i in range(1, 191)]
    books = [f"{i},{BOOKS.get(i, f'Book {i}')}" for i in range(1, 191)]
    people = [f"{u},{20 + u % 30},{trades[u % 3]}" for u in range(1, 61)]
    for names, head, lines in (
        (("ratings.csv", "loans.csv", "FOLDER/loans.csv"), "user,item,timestamp", rows),
        (("items.csv",), "item,title", films),
        (("books.csv",), "item,title", books),
        (("users.csv", "readers.csv"), "user,age,occupation", people),
    ):
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("\n".join((head, *lines)) + "\n")


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages speak of: tables, experiments and runs by their names."""
    folder = tmp_path_factory.mktemp("pages")
    write_tables(folder)
    names = ("experiments/quickstart", "experiments/ml100k/ufgraphformer", "FILE", "mine", "other")
    for seed, name in enumerate(names):
        path = folder / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        # a name of its own, and a seed: two runs that differ in nothing are not compared
        head = f'name = "{name.removeprefix("experiments/").replace("/", "-")}"\nseed = {seed}\n'
        path.write_text(head + TOY.format(up="../" * name.count("/")))
    (folder / "tuned.toml").write_text(TUNED)
    (folder / "private.toml").write_text(PRIVATE)
    (folder / "beside.toml").write_text(BESIDE)
    for file, run in (
        ("experiments/quickstart", "quickstart"),
        ("other", "other"),
        ("private", "private-ml100k-eps8"),
        ("beside", "beside"),
    ):
        list(execute(read(folder / f"{file}.toml"), folder / "runs" / run, device="cpu"))
    (folder / "RUN").symlink_to("runs/quickstart")
    shutil.copytree(ROOT / "examples", folder / "examples")
    own = (ROOT / "docs/howto/my-algorithm.md").read_text()
    test = own[own.index("from own_algorithm import") :]
    (folder / "my_tests.py").write_text(test[: test.index("```")])
    for place in ("bin", ".venv/bin"):
        shim = folder / place / "ufgraphfr"
        shim.parent.mkdir(parents=True)
        shim.write_text(SHIM.format(python=sys.executable))
        shim.chmod(0o755)
    # what a page installs is here already, or the command after it says what is missing
    (folder / "bin/pip").symlink_to(shutil.which("true") or "/bin/true")
    return folder


def arranged(desk: Path, page: str) -> None:
    """What one page means by a name that others use too."""
    if page == "docs/tuning.md":
        (desk / "tuned.toml").rename(desk / "FILE.toml")
    if page == "docs/howto/my-algorithm.md":
        shutil.rmtree(desk / "runs/other")
        (desk / "runs/beside").rename(desk / "runs/other")


def clear(desk: Path, line: str) -> None:
    """Take away what a command would write and finds there: it was written for another page."""
    for words, name in WRITTEN.items():
        if words in line and "--resume" not in line:
            path = desk / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(page: str, furnished: Path, tmp_path: Path) -> None:
    desk = tmp_path / "desk"
    shutil.copytree(furnished, desk, symlinks=True)
    arranged(desk, page)
    path = (desk / "bin", Path(sys.executable).parent, os.environ["PATH"])
    environment = os.environ | {
        "PATH": os.pathsep.join(map(str, path)),
        "BROWSER": "true",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(desk / "examples"))),
    }
    lines = [each for each in commands(page) if not any(words in each for words in LEFT_OUT)]
    assert lines
    for line in lines:
        clear(desk, line)
        bash = ["bash", "-euo", "pipefail", "-c", line]
        ended = subprocess.run(
            bash,
            cwd=desk,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        told = f"{line}\n{ended.stdout}\n{ended.stderr}"
        assert ended.returncode == 0, told
        assert "Traceback" not in ended.stderr, told
