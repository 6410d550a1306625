"""constraints-flower.txt: the deployment extra with hashes, as the other constraints have it."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "constraints-flower.txt").read_text(encoding="utf-8")
PINNED = re.compile(
    r"^([a-z0-9-]+)==(\S+)(.*\\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)
HASHED = {name: version for name, version, _ in PINNED.findall(TEXT)}
ELSEWHERE = {"torch"}  # its builds share a version and no hash: the header says what to do


def test_every_requirement_has_a_hash_and_the_version_of_the_constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    versions = dict(line.split("==") for line in lines if "==" in line)
    named = re.findall(r"^[a-z0-9-]+==", TEXT, re.M)
    assert len(named) == len(HASHED) > 50
    assert {name: versions.get(name) for name in HASHED} == HASHED


def test_nothing_that_the_extra_needs_is_left_out():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["flower"]]
    waiting, needed = [Requirement(line) for line in asked], set()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        extras = {"extra": ""}, *({"extra": extra} for extra in one.extras)
        if name in needed | ELSEWHERE:
            continue
        needed.add(name)
        try:
            below = requires(name) or []
        except PackageNotFoundError:
            continue
        for line in map(Requirement, below):
            if line.marker is None or any(line.marker.evaluate(each) for each in extras):
                waiting.append(line)
    assert needed <= HASHED.keys()
    assert {"flwr", "cryptography", "grpcio", "dp-accounting"} <= needed


def test_the_header_says_how_it_is_made_and_what_is_not_in_it():
    head = TEXT[: TEXT.index("==")]
    assert "make hashes" in head
    assert "--require-hashes --no-deps" in head
    assert "torch is not in it" in head
    assert re.search(r"^hashes:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
