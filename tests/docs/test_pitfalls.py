"""What the page of pitfalls names, as what prevents or holds something, exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = " ".join((ROOT / "docs" / "pitfalls.md").read_text(encoding="utf-8").split())
TESTS = sorted(set(re.findall(r"`(test_\w+)`", TEXT)))
FILES = sorted(set(re.findall(r"`([\w/]+\.py)`", TEXT)))
PAIRS = sorted(set(re.findall(r"`([\w.]+)` \(`([\w/]+\.py)`\)", TEXT)))
CODE = [(name, file) for name, file in PAIRS if not file.startswith("tests/")]
WRITTEN = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py"))


def path_of(file: str) -> Path:
    return ROOT / file if file.startswith("tests/") else ROOT / "src" / "ufgraphfr" / file


@pytest.mark.parametrize("name", TESTS)
def test_a_test_that_is_named_is_written(name):
    assert f"def {name}(" in WRITTEN


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_named_is_there(file):
    assert path_of(file).is_file()


@pytest.mark.parametrize(("name", "file"), CODE)
def test_code_is_where_the_page_says(name, file):
    assert re.search(rf"\b(def|class) {name.split('.')[-1]}\b|^{name} =", path_of(file).read_text())


def test_the_page_names_all_three():
    assert min(len(TESTS), len(FILES), len(CODE)) >= 20
