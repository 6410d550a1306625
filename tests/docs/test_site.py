"""The site: built without a warning, it asks nobody for anything and is searched from a file."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for module in ("mkdocs", "material", "mkdocstrings", "nbconvert", "ipykernel"):
        pytest.importorskip(module)
    place = tmp_path_factory.mktemp("site")
    words = (sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(place))
    ended = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return place


def test_pages_ask_nobody_for_anything(site):
    for page in site.rglob("*.html"):
        asked = re.findall(
            r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]*)"', page.read_text()
        )
        assert not [url for url in asked if not url.startswith("https://squidfunk.github.io")], page


def test_personas_keys_names_and_figures_have_pages(site):
    index = (site / "index.html").read_text()
    for page in ("my-table", "my-algorithm", "my-federation", "explain-it"):
        assert f"howto/{page}.html" in index
    assert "check_algorithm" in (site / "api" / "testing.html").read_text()
    assert "open_run" in (site / "api" / "ufgraphfr.html").read_text()
    assert "pruning" in (site / "reference" / "tune.html").read_text()
    board = (site / "leaderboard.html").read_text()
    assert "ml100k/fedmf" in board
    assert 'href="experiments/' not in board


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("first-comparison", "ufgraphformer on synthetic, seed 0"),
        ("my-table", "because of Persuasion"),
        ("private-run", "epsilon = 8, delta = 1e-05: joint differential privacy"),
    ],
)
def test_notebooks_are_shown_as_they_ran(site, name, told):
    page = (site / "notebooks" / f"{name}.html").read_text()
    assert told in page
    assert "Traceback" not in page
    assert f'href="{name}.ipynb"' in page
    kept = json.loads((ROOT / "docs" / "notebooks" / f"{name}.ipynb").read_text())
    assert not [cell for cell in kept["cells"] if cell.get("outputs")], "outputs are made anew"


def test_search_works_from_a_file_without_a_network(site):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    nothing = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    for word in ("--headless=new", "--no-sandbox", "--window-size=1200,1000", nothing):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    try:
        browser.get((site / "api" / "seams.html").as_uri())
        field = "document.querySelector('.md-search__input')"
        browser.execute_script(f"{field}.click(); {field}.focus()")
        ends = time.monotonic() + 30
        browser.switch_to.active_element.send_keys("epsilon")
        shown = ""
        while "matching documents" not in shown and time.monotonic() < ends:
            time.sleep(0.2)
            shown = browser.execute_script(
                "return document.querySelector('.md-search-result').innerText"
            )
        assert "matching documents" in shown
        assert browser.get_log("browser") == []
    finally:
        browser.quit()
