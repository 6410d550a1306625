"""The page recommends in a browser without a network, and asks nobody for anything."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import cache_folder
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.export.web import profiles as asked
from ufgraphfr.export.web import runtime
from ufgraphfr.export.web.page import page
from ufgraphfr.serve.known import KnownUsers
from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.requests import Request

VALUES = {
    "seed": 3,
    "data": {"kind": "synthetic", "users": 60, "items": 48, "interactions": 12},
    "text": {"kind": "hashing", "width": 80},
    "algorithm": {
        "kind": "ufgraphformer",
        **{"dim": 8, "heads": 2, "history": 6, "graph": {"rounds": 2}},
    },
    "federation": {"rounds": 4},
    "evaluation": {"every": 4},
}
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
NO_RUNTIME = not (cache_folder("npm", runtime.TARBALL).exists() or shutil.which("npm"))
needs_runtime = pytest.mark.skipif(NO_RUNTIME, reason="neither npm nor its package is here")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="no chromium with its driver is here"
)


COLOURS = {"favourite colour": ["red", "orange", "yellow", "green"]}
PRIVATE = VALUES | {
    "data": VALUES["data"] | {"profile_values": COLOURS},
    "algorithm": {
        "kind": "ufgraphformer",
        "private": {
            "profile_share": 0.3,
            "graph_items": 9,
            "graph_share": 0.3,
            "graph_weight": 0.5,
        },
    },
    "privacy": {"kind": "central-jdp", "epsilon": 4000, "delta": 1e-4},
    "federation": {"rounds": 3},
}


def trained(path, values):
    list(execute(build(values), path, device="cpu"))
    return Run(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "run", VALUES)


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "private", PRIVATE)


@pytest.fixture
def browser():
    """Chromium that can look no name up, and writes down what it asks for and complains of."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage"):
        options.add_argument(f"--{word}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=str(DRIVER))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def shown(browser):
    """Items on the list, once the answer with its reasons is there."""
    from selenium.webdriver.support.ui import WebDriverWait

    done = "return document.body.dataset.shown === String(asked)"
    WebDriverWait(browser, 60).until(lambda page: page.execute_script(done))
    rows = browser.find_elements("css selector", "#list li")
    reasons = browser.find_elements("css selector", "#list .why")
    return [row.get_attribute("data-item") for row in rows], [each.text for each in reasons]


def check(recommender, shown, history, profile):
    """The best items and their reasons, among which some may be equally good."""
    request = Request(history=history, profile=profile, n=len(recommender.catalogue.items))
    exact = recommender.answer(replace(request, why=True)).recommended
    by_item = {each.item: each for each in exact}
    items, reasons = shown
    scores = [by_item[item].score for item in items]
    assert scores == pytest.approx([each.score for each in exact[: len(items)]], abs=1e-4)
    for item, reason in zip(items, reasons, strict=False):
        assert parts_of(reason) == parts_of(by_item[item].reason)
    return items


def parts_of(reason):
    """What a reason says, but for percentages, which may be rounded the other way."""
    return sorted(re.split(r"; |, | and |because of |\d+% ", reason))


def pick(browser, title):
    browser.find_element("id", "query").send_keys(title)
    browser.find_element("css selector", "#found button").click()


@needs_runtime
@needs_browser
@pytest.mark.parametrize("kind", ["run", "private"])
def test_it_recommends_offline_what_the_run_does(kind, request, tmp_path, browser):
    run = request.getfixturevalue(kind)
    recommender = Recommender.of(run)
    file = tmp_path / "page.html"
    file.write_text(page(run, run.prepared())[0], encoding="utf-8")
    browser.get(file.as_uri())
    lists = [check(recommender, shown(browser), [], {})]
    ranks = browser.find_elements("css selector", "#list .rank")
    assert len({each.size["height"] for each in ranks}) == 1, "a rank of two figures is one line"
    history = []
    for item in ("i7", "i21", "i40"):
        pick(browser, recommender.catalogue.titles[recommender.items.place(item)])
        history.append(item)
        lists.append(check(recommender, shown(browser), history, {}))
    assert len({*map(tuple, lists)}) == 4, "it changes with each pick"
    (name, value) = next(
        (name, sorted(own)[0]) for name, own in KnownUsers.of(run.prepared()).values.items()
    )
    browser.find_element("css selector", f"select[name='{name}']").send_keys(value)
    check(recommender, shown(browser), history, {name: value})
    browser.find_element("css selector", "#picked button").click()
    check(recommender, shown(browser), history[1:], {name: value})
    assert browser.find_element("id", "guarantee").text == f"{run.guarantee}."
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        each["params"]["request"]["url"]
        for each in messages
        if each["method"] == "Network.requestWillBeSent"
    ]
    assert urls[0] == file.as_uri()
    assert all(url.startswith(("blob:", "data:")) for url in urls[1:])


@pytest.mark.slow
@needs_runtime
def test_equal_runs_make_equal_pages_of_the_package_alone(run):
    one, other = (page(run, run.prepared())[0] for _ in range(2))
    assert one == other
    assert "default-src 'none'" in one
    assert runtime.LICENCE.splitlines()[0] in one
    addresses = re.sub(r'<script type="application/x".*?</script>', "", one, flags=re.DOTALL)
    assert not re.findall(r"https?://", addresses)
    assert "{{" not in addresses


def test_fields_that_make_too_many_sentences_are_left_out_and_told(run, monkeypatch):
    prepared = run.prepared()
    whole = asked.profiles(run, prepared, {})
    assert whole.left_out == {}
    assert len(whole.coordinates) == len(whole.projected) > 1
    monkeypatch.setattr(asked, "MOST", len(whole.coordinates) - 1)
    fewer = asked.profiles(run, prepared, {})
    assert fewer.fields.keys() | fewer.left_out.keys() == whole.fields.keys()
    assert fewer.left_out
    assert len(fewer.coordinates) < len(whole.coordinates)


def test_another_runtime_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("UFGRAPHFR_CACHE", str(tmp_path))
    (tmp_path / "npm").mkdir()
    (tmp_path / "npm" / runtime.TARBALL).write_bytes(b"something else")
    with pytest.raises(InputError, match=r"has SHA-512 .* remove it"):
        runtime.runtime()


def test_without_npm_the_command_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("UFGRAPHFR_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"npm is not here .*npm pack onnxruntime-web@1.30.0"):
        runtime.runtime()


def test_what_npm_says_is_told(monkeypatch, tmp_path):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("UFGRAPHFR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(InputError, match=r"could not be fetched \(no network\)"):
        runtime.runtime()


def test_under_a_guarantee_only_what_is_declared_is_asked(private, tmp_path):
    shared = {"directions": np.zeros((1 + 80, 0), np.float32)}
    assert asked.profiles(private, private.prepared(), shared).fields == {
        "favourite colour": sorted(COLOURS["favourite colour"])
    }
    keys = {"kind": "ufgraphformer", "private": {"graph_items": 0}}
    silent = PRIVATE | {"data": VALUES["data"], "algorithm": keys}
    run = trained(tmp_path / "run", silent | {"federation": {"rounds": 1}})
    assert asked.profiles(run, run.prepared(), shared).fields == {}
