"""The service over HTTP: answers, refusals, and that nothing is kept."""

import logging
import os

import pytest

from ufgraphfr.experiment import build, execute

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("httpx2", reason="the client of the tests is not installed")

from fastapi.testclient import TestClient

from ufgraphfr.serve.http import Served, create_app
from ufgraphfr.serve.problems import MOST_BYTES
from ufgraphfr.serve.requests import Request

VALUES = {
    "data": {"kind": "synthetic", "users": 24, "items": 60, "interactions": 14},
    "text": {"kind": "hashing", "width": 16},
}
PROBLEM = {"type", "title", "status", "detail"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for kind in ("ease", "popularity"):
        list(execute(build(VALUES | {"algorithm": {"kind": kind}}), folder / kind, device="cpu"))
    return folder


@pytest.fixture(scope="module")
def served(runs):
    return Served(runs / "ease")


@pytest.fixture
def client(served):
    with TestClient(create_app(served), raise_server_exceptions=False) as client:
        yield client


def problem(answer, status):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    facts = answer.json()
    assert facts.keys() >= PROBLEM
    assert facts["status"] == status
    return facts


def test_answers_are_those_of_the_engine(client, served):
    asked = {"history": ["i1", "i2"], "n": 4, "exclude": ["i3"], "why": True}
    answer = client.post("/recommend", json=asked)
    assert answer.status_code == 200
    same = served.recommender.answer(Request(**asked)).recommended
    facts = [each.facts for each in same]
    listed = answer.json()["recommended"]
    assert [each["item"] for each in listed] == [each["item"] for each in facts]
    assert listed[0].keys() == facts[0].keys()
    assert [each["item"] for each in answer.json()["history"]] == ["i1", "i2"]
    batch = client.post("/recommend/batch", json={"requests": [asked, {}]}).json()
    assert batch["answers"][0] == answer.json()
    assert batch["answers"][1] == client.post("/recommend", json={}).json()


def test_items_are_found_and_compared(client, served):
    title = served.recommender.catalogue.titles[7]
    found = client.get("/items", params={"query": title}).json()["items"]
    assert {"item": "i7", "title": title} in found
    similar = client.get("/similar/i7", params={"n": 3}).json()["recommended"]
    assert len(similar) == 3
    assert client.get(f"/similar/{title}", params={"n": 3}).json()["recommended"] == similar


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"history": ["nothing at all"]}, "no item"),
        ({"profile": {"shoe": "42"}}, "profile 'shoe'"),
        ({"n": 0}, "/n"),
        ({"n": 10**9}, "/n"),
        ({"user": "u1"}, "/user"),
        ({"history": "i1"}, "/history"),
        ({"where": {"gnre": ["x"]}}, "gnre"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_document(client, body, said):
    facts = problem(client.post("/recommend", json=body), 422)
    assert said in facts["detail"]


def test_other_errors_are_problem_documents_too(client):
    problem(client.get("/nowhere"), 404)
    refused = client.get("/recommend")
    problem(refused, 405)
    assert refused.headers["allow"] == "POST"
    problem(client.get("/similar/i1x"), 422)
    problem(client.post("/recommend", content=b"{", headers={"content-type": "a/b"}), 422)


def test_refusals_are_described_as_they_are_sent(client):
    paths = client.get("/openapi.json").json()["paths"]
    for place, methods in paths.items():
        for operation in methods.values():
            refused = operation["responses"]["422"]["content"]
            assert list(refused) == ["application/problem+json"], place


def test_large_bodies_are_refused_with_and_without_their_length(client):
    problem(client.post("/recommend", content=b" " * (MOST_BYTES + 1)), 413)
    pieces = (b" " * 65536 for _ in range(MOST_BYTES // 65536 + 1))
    problem(client.post("/recommend", content=pieces), 413)


def test_a_fault_shows_nothing_of_its_inside(client, served, monkeypatch):
    def fails(*_):
        raise RuntimeError("secret place")

    monkeypatch.setattr(served.recommender, "answers", fails)
    answer = client.post("/recommend", json={})
    problem(answer, 500)
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_nothing_of_a_request_is_logged_or_counted(client, caplog):
    caplog.set_level(logging.DEBUG)
    client.post("/recommend", json={"history": ["i41"], "profile": {"favourite colour": "plum"}})
    client.get("/similar/i42")
    metrics = client.get("/metrics").text
    # the client of the test logs what it asks for, which no server of ours sees
    own = [each.getMessage() for each in caplog.records if not each.name.startswith("httpx")]
    for said in (metrics, *own):
        assert not any(word in said for word in ("i41", "i42", "plum"))
    assert 'ufgraphfr_requests_total{route="/recommend",status="200"} 1' in metrics
    assert 'route="/similar/{item:path}"' in metrics


def test_health_statement_and_description(client, served):
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/privacy").text == served.statement
    assert client.get("/guarantee").json() == {"guarantee": served.guarantee}
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/recommend", "/recommend/batch", "/similar/{item}", "/items"} <= paths.keys()
    problem(client.get("/docs"), 404)


def test_the_page_asks_nobody_else(client):
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text


def test_a_link_turned_to_another_run_is_served_after_a_reload(runs, tmp_path):
    link = tmp_path / "now"
    link.symlink_to(runs / "ease")
    served = Served(link)
    client = TestClient(create_app(served))
    before = client.post("/recommend", json={"history": ["i1"]}).json()
    os.replace(_link(tmp_path / "next", runs / "popularity"), link)
    assert client.post("/recommend", json={"history": ["i1"]}).json() == before
    served.reload()
    assert client.get("/health").json()["run"] == "popularity"
    assert client.post("/recommend", json={"history": ["i1"]}).json() != before
    os.replace(_link(tmp_path / "next", tmp_path), link)
    served.reload()
    assert client.get("/health").json()["run"] == "popularity", "a bad run changes nothing"


def _link(path, target):
    path.symlink_to(target)
    return path
