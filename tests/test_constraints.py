"""constraints.txt: what is pinned runs on each Python that the project says it runs on."""

import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]


def test_every_pin_admits_the_first_release_of_the_oldest_python():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first = project["requires-python"].removeprefix(">=") + ".0"
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    seen, refused = 0, []
    for name, version in pins:
        try:
            known = metadata(name)
        except PackageNotFoundError:
            continue
        asked = known["Requires-Python"] or ""
        seen += known["Version"].partition("+")[0] == version
        # a patch release is what a system's own Python lags behind by
        if not SpecifierSet(asked).contains(first):
            refused.append(f"{name}=={version} wants Python {asked}")
    assert seen > 150
    assert refused == []
