"""The house rules that a machine can check."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MAX_FILE = 300
MAX_FUNCTION = 40

FOLDERS = ("src", "tests", "benchmarks", "docs", "examples", "experiments", ".ci")
TEXT = {".py", ".toml", ".md", ".cff", ".txt", ".yml", ".json", ".html", ""}
MACHINE_PATH = re.compile(r"(?<![\w./:~$}-])/(work|home|root|opt|tmp|Users|mnt)/\w")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted|npmjs|crates\.io|debian\.org|anaconda\.org|download\.pytorch"
)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def written_files() -> list[Path]:
    """Everything people wrote in this repository, this file excepted."""
    nested = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    written = [
        path
        for path in (*ROOT.iterdir(), *nested)
        if path.is_file()
        and path.suffix in TEXT
        and "egg-info" not in str(path)
        # a file in a working tree beside another
        and path.name != ".git"
        and path != Path(__file__)
        and path.name != ".git"  # a file in a linked work tree
        # what coverage leaves behind while these tests run
        and not path.name.startswith(".coverage")
        # in a work tree beside the clone, a file that names the clone
        and path.name != ".git"
    ]
    return sorted(written)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_source_file_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree)
    assert docstring, f"{name(path)}: the first line says what the file is"
    assert text.startswith('"""'), f"{name(path)}: the docstring comes first"
    assert docstring.splitlines()[0].strip()
    length = len(text.splitlines())
    assert length <= MAX_FILE, f"{name(path)} has {length} lines: split it by subject"
    long = {
        node.name: code_lines(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and code_lines(node) > MAX_FUNCTION
    }
    assert not long, f"{name(path)}: functions over {MAX_FUNCTION} lines: {long}"


def test_no_path_of_a_machine_and_no_registry_host() -> None:
    found = [
        f"{name(path)}:{number}: {match.group()}"
        for path in written_files()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for match in (MACHINE_PATH.search(line), REGISTRY.search(line))
        if match
    ]
    assert not found


@pytest.mark.parametrize(
    ("line", "breaks"),
    [
        ('DATA = "/home/me/data"', True),
        ("see /tmp/run", True),
        ("https://example.org/home/page", False),
        ("runs/tmp/x", False),
        ("~/work/x", False),
    ],
)
def test_machine_paths_are_told_from_addresses(line: str, breaks: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is breaks


def test_code_lines_leave_the_docstring_out() -> None:
    source = 'def f(\n    x,\n):\n    """One.\n\n    Two.\n    """\n    y = x\n    return y\n'
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert code_lines(function) == 5
