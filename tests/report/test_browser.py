"""The page in a browser: nothing fails, nothing is asked for, and it fits a phone."""

import json

import pytest

from ufgraphfr.report import gather, report_page


@pytest.fixture(params=["plain", "budgeted"])
def opened(request, browser, tmp_path):
    folder = request.getfixturevalue(request.param)
    (tmp_path / "report.html").write_text(report_page([gather(folder)]))

    def at(width: int, scheme: str = "light"):
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get((tmp_path / "report.html").as_uri())
        return browser

    return at


def test_no_request_but_the_page_and_no_error(opened):
    browser = opened(1100)
    assert browser.get_log("browser") == []
    entries = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    sent = [
        each["params"]["request"]["url"]
        for each in entries
        if each["method"] == "Network.requestWillBeSent"
    ]
    assert sent
    assert all(url.startswith(("file:", "data:")) for url in sent)
    assert not [each for each in entries if each["method"] == "Network.loadingFailed"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_follows_dark_mode(opened, scheme):
    browser = opened(400, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    paper, ink, drawn = browser.execute_script(
        "const at = (e, p) => getComputedStyle(e)[p];"
        "return [at(document.body, 'backgroundColor'), at(document.body, 'color'),"
        " at(document.querySelector('figure svg text'), 'fill')]"
    )
    light = [sum(map(int, colour[4:-1].split(","))) > 384 for colour in (paper, ink, drawn)]
    assert light == ([True, False, False] if scheme == "light" else [False, True, True])


def test_paper_shows_whole_tables_and_what_is_folded(opened):
    browser = opened(700)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        cut, folded, menus = browser.execute_script(
            "const all = s => [...document.querySelectorAll(s)];"
            "return [all('.wide').filter(e => getComputedStyle(e).overflowX != 'visible' ||"
            " e.scrollWidth > document.documentElement.clientWidth).length,"
            " all('details pre').filter(e => e.offsetHeight == 0).length,"
            " all('nav, .skip').filter(e => getComputedStyle(e).display != 'none').length]"
        )
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert (cut, folded, menus) == (0, 0, 0)


def test_the_keyboard_reaches_what_can_be_moved_or_opened(opened):
    browser = opened(1100)
    first = browser.switch_to.active_element
    first.send_keys("\ue004")
    assert browser.switch_to.active_element.text == "To the results"
    count = browser.execute_script(
        "return [...document.querySelectorAll('.wide, pre')].filter(e => e.tabIndex < 0).length"
    )
    assert count == 0
