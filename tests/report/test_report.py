"""``ufgraphfr report``: what the page says of runs, and what it must not say."""

import json
import re
import shutil
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.columns import read_parquet
from ufgraphfr.evaluation.metrics import SHOWN, values
from ufgraphfr.experiment.compare import compare
from ufgraphfr.experiment.finished import read_result
from ufgraphfr.report import gather, report_page
from ufgraphfr.report.groups import LEAST, _by_field, quantiles
from ufgraphfr.report.page import SECTIONS
from ufgraphfr.report.shown import shares

EMPTY = ("meta", "link", "img", "path", "use")


class Closed(HTMLParser):
    """Every element that is opened is closed, and ids are one of a kind."""

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(plain):
    return report_page([gather(plain)])


def test_the_page_is_sound_and_needs_nothing_from_elsewhere(page):
    parser = Closed()
    parser.feed(page)
    assert not parser.open
    assert len(parser.ids) == len(set(parser.ids))
    own = set(parser.ids)
    assert set(re.findall(r'href="#([^"]*)"', page)) <= own
    for never in ("<script", "@import", 'href="http', 'src="http', "url(http"):
        assert never not in page
    assert "seen &amp; &lt;told&gt;" in page
    assert "<told>" not in page


def test_it_is_small(page):
    assert len(page.encode()) < 3e6


def test_every_section_is_there_with_its_figures(page, plain):
    result = json.loads((plain / "result.json").read_text())
    for key, title, *_ in SECTIONS:
        assert f'id="{key}">{title}' in page
    assert page.count("<svg") > len(SECTIONS) / 2
    for figure in (result["test"]["full"]["ndcg@10"], result["cold"]["ndcg@10 known=3"]):
        assert f"<td>{figure:.3f}</td>" in page
    for kind in ("popularity", "ease"):
        assert f">{result['baselines'][kind]['test']['full']['hr@10']:.3f}</td>" in page
    assert "Settings that follow from the data" in page
    assert "Parts of the model" in page
    assert result["config_digest"] in page


def test_intervals_are_those_of_the_ranks_that_the_run_kept(page, plain):
    columns = read_parquet(plain / "ranks.parquet")
    own, theirs = (values("ndcg@10", columns[name]) for name in ("full", "ease.full"))
    assert f"{own.mean() - theirs.mean():+.4f}</td>" in page


def cells(folders, part):
    """Cells with a figure of runs on the test or validation, of all that the table may show."""
    results = [read_result(folder / "result.json") for folder in folders]
    return {f">{own[part]['full'][name]:.3f}</td>" for own in results for name in SHOWN}


@pytest.mark.slow
def test_a_report_names_no_figure_of_the_test_of_several_runs_unless_asked(plain, budgeted):
    folders = [plain, budgeted]
    tested, told = (cells(folders, part) for part in ("test", "validation"))
    hidden = report_page([gather(each, test=False) for each in folders], compare(folders))
    shown = report_page([gather(each) for each in folders], compare(folders))
    # at three digits some are the same in both
    assert (tested_alone := tested - told)
    assert not any(cell in hidden for cell in tested_alone)
    assert all(cell in hidden for cell in told)
    assert all(cell in shown for cell in tested)
    assert "p (Holm)" in shown
    # settings are many: they are not among the figures
    assert f'<th scope="row">{plain.name}</th>' in shown
    assert "<li>budgeted: " in shown
    assert "privacy.epsilon = 4.0" in shown


def test_under_a_guarantee_what_is_personal_is_marked_or_left_out(budgeted):
    own = report_page([gather(budgeted)])
    personal = [key for key, _, _, is_personal in SECTIONS if is_personal]
    assert own.count("personal: not to be shared") == len(personal) + 1
    public = report_page([gather(budgeted, public=True)])
    result = json.loads((budgeted / "personal" / "result.json").read_text())
    for key in personal:
        assert f'id="{key}"' not in public
    shared = json.loads((budgeted / "result.json").read_text())
    assert "interactions)" not in public
    for part in ("test", "validation"):
        for name, figure in result[part]["full"].items():
            assert f"{figure:.3f}<" not in public, name
    assert shared["config_digest"] in public
    assert "epsilon = 4" in public
    # neither when it ran nor where
    assert json.loads((budgeted / "environment.json").read_text())["started"] not in public
    assert str(budgeted.parent) not in public


def test_nothing_is_public_of_a_run_without_a_guarantee(plain):
    with pytest.raises(InputError, match="leave out --public"):
        gather(plain, public=True)


def test_pictures_of_an_audit_are_in_the_page(plain, tmp_path):
    folder = tmp_path / "audited"
    shutil.copytree(plain, folder)
    (folder / "audit-canaries.png").write_bytes(b"a picture")
    text = report_page([gather(folder)])
    assert 'src="data:image/png;base64,YSBwaWN0dXJl"' in text
    assert 'alt="audit-canaries.png"' in text


def test_without_its_data_a_report_says_what_it_lacks(plain):
    found = gather(plain)
    away = found.__class__(**vars(found) | {"profiles": (), "lists": None, "missing": "gone away"})
    text = report_page([away])
    assert text.count("gone away") == 2


def test_a_run_that_is_not_finished_is_told_of(plain, tmp_path):
    folder = tmp_path / "begun"
    folder.mkdir()
    for name in ("config.toml", "resolved.toml", "environment.json"):
        (folder / name).write_bytes((plain / name).read_bytes())
    lines = (plain / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:13]))
    text = report_page([gather(folder)], refresh=5)
    assert "13 of 14 rounds are done" in text
    assert 'http-equiv="refresh" content="5"' in text
    assert "Validation NDCG@10" in text


def test_small_groups_are_told_together():
    profiles = [{"job": "a"}] * 30 + [{"job": "b"}] * (LEAST - 1) + [{"job": "c"}] * 2 + [{}]
    groups = _by_field(profiles, "job")
    assert {name: int(inside.sum()) for name, inside in groups.items()} == {
        "a": 30,
        "others together": LEAST + 1,
    }
    assert list(_by_field(profiles[: 30 + 3], "job")) == ["a"]


def test_quantiles_hold_everybody_once():
    found = np.array([3.0, 3, 3, 4, 9, 20, 20, 50, 51, 52])
    groups = quantiles(found, "items")
    assert sum(inside.astype(int) for inside in groups.values()).tolist() == [1] * 10
    assert next(iter(groups)).startswith("3 to ")


def test_shares_go_from_popular_to_rare_and_add_up(plain):
    lists = gather(plain).lists
    listed, had = (shares(lists, of) for of in (lists.top.listed, lists.trained))
    assert listed.sum() == pytest.approx(1)
    assert (np.diff(had) <= 1e-12).all()


def test_few_are_asked_where_items_are_many(plain, monkeypatch):
    everybody = gather(plain).lists
    assert everybody.top.users == everybody.users
    module = sys.modules["ufgraphfr.report.gather"]
    monkeypatch.setattr(module, "MOST_PAIRS", 60 * 7)
    monkeypatch.setattr(module, "LEAST_USERS", 1)
    lists = gather(plain).lists
    assert (lists.top.users, lists.users) == (7, everybody.users)
    assert lists.top.listed.sum() == 70
