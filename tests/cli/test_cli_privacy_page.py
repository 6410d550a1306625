"""``ufgraphfr privacy --html`` and ``--json``: one page for a board, and the same facts."""

import json
import re
from html import escape
from html.parser import HTMLParser

import pytest

from ufgraphfr.experiment import build, execute

VALUES = {
    "name": "board <1>",
    "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "fedmf", "dim": 4},
    "federation": {"rounds": 3},
}
BUDGET = {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4, "clip": 0.5}


@pytest.fixture
def page(cli, tmp_path):
    def of(privacy):
        list(execute(build(VALUES | {"privacy": privacy}), tmp_path / "run", device="cpu"))
        made = cli("privacy", tmp_path / "run", "--html", tmp_path / "p.html", "--owner", "A & B")
        assert made.code == 0, made.err
        told = cli("privacy", tmp_path / "run", "--json")
        return (tmp_path / "p.html").read_text(), json.loads(told.out)

    return of


class Closed(HTMLParser):
    """Every element that is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_from_elsewhere_and_is_sound(page):
    html, _ = page(BUDGET)
    parser = Closed()
    parser.feed(html)
    assert not parser.open
    for never in ("<script", "src=", "href=", "url(", "@import"):
        assert never not in html
    assert "board &lt;1&gt;" in html
    assert "A &amp; B" in html


def test_page_and_facts_say_what_is_promised_spent_and_not_covered(page):
    html, facts = page(BUDGET)
    assert "epsilon = 4" in html
    assert "Server, trusted" in html
    assert [step["round"] for step in facts["spent"]] == [1, 2, 3]
    spent = [step["epsilon"] for step in facts["spent"]]
    assert spent == sorted(spent)
    assert spent[-1] == pytest.approx(4, rel=1e-3)
    assert facts["audit"] is None
    assert "Not audited yet" in html
    assert any(sentence.startswith("Facts about groups") for sentence in facts["not_covered"])


def test_without_a_guarantee_the_page_says_what_an_update_reveals(page):
    html, facts = page({"kind": "none"})
    assert facts["promise"] is None
    assert "No guarantee" in html
    assert "which items its user has" in html
    assert "not covered" in html
    assert "Spent" not in html


def test_a_page_that_cannot_be_written_is_one_clear_line(cli, tmp_path):
    list(execute(build(VALUES), tmp_path / "run", device="cpu"))
    told = cli("privacy", tmp_path / "run", "--html", tmp_path / "run" / "result.json" / "p")
    assert told.code == 2
    assert "name another file" in told.err


def test_the_page_says_in_words_what_epsilon_means(page):
    html, facts = page(BUDGET)
    assert facts["guess"] == pytest.approx(0.705, abs=0.01)
    assert f"right at most {100 * facts['guess']:.0f} times in 100" in html
    assert re.search(r"<dd>\d+ [A-Z][a-z]+ 20\d\d, \d\d:\d\d UTC</dd>", html)
    assert "Empirical lower bound" not in html


def test_the_page_says_what_all_runs_on_the_same_data_spent(cli, page, tmp_path, monkeypatch):
    monkeypatch.setenv("UFGRAPHFR_CACHE", str(tmp_path / "cache"))
    _, alone = page(BUDGET)
    assert alone["all_runs"] is None
    again = VALUES | {"seed": 1, "privacy": BUDGET}
    list(execute(build(again), tmp_path / "again", device="cpu"))
    both = json.loads(cli("privacy", tmp_path / "again", "--json").out)["all_runs"]
    assert "in 2 runs on this machine" in both
    cli("privacy", tmp_path / "again", "--html", tmp_path / "q.html")
    assert escape(both) in (tmp_path / "q.html").read_text()


def test_attacks_that_were_not_tried_are_on_the_page_and_apart(cli, page, tmp_path):
    page({"kind": "none"})
    ended = cli("audit", tmp_path / "run", "--attack", "noninterference", "--attack", "canaries")
    assert ended.code == 0, ended.err
    cli("privacy", tmp_path / "run", "--html", tmp_path / "p.html")
    html = (tmp_path / "p.html").read_text()
    assert '<ul class="small"><li>noninterference: nothing to attack' in html
    assert "<li>Guarantee: no privacy guarantee</li>" in html
