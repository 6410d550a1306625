"""Runs to report on, made once, and a browser to read the pages with."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ufgraphfr.experiment import build, execute

VALUES = {
    "name": "seen & <told>",
    "data": {"kind": "synthetic", "users": 80, "items": 60, "groups": 4, "interactions": 12},
    "protocol": {"cold_users": 0.2, "cold_least": 12},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "ufgraphformer", "dim": 8},
    "federation": {"rounds": 14, "cohort": 20},
    "evaluation": {"every": 2, "baselines": ["popularity", "ease"]},
}
BUDGET = {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4}


def made(folder: Path, **changes: Any) -> Path:
    list(execute(build(VALUES | changes), folder, device="cpu"))
    return folder


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without a guarantee."""
    return made(tmp_path_factory.mktemp("report") / "plain")


@pytest.fixture(scope="session")
def budgeted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run under a budget, which has a folder ``personal``."""
    federation = {"cohort": 1.0}
    place = tmp_path_factory.mktemp("report") / "budgeted"
    return made(place, privacy=BUDGET, federation=federation)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a network: host names are not resolved, and requests are logged."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed: apt-get install chromium-driver")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    rules = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", rules):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = selenium.ChromeService(executable_path=driver)
    opened = selenium.Chrome(options=options, service=service)
    yield opened
    opened.quit()
