"""Whatever is sent to the service, it answers or refuses: nothing is a fault of its own.

FUZZED=10000 pytest tests/serve/test_fuzzed.py
"""

import json
import os
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ufgraphfr.experiment import build, execute

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("httpx2", reason="the client of the tests is not installed")

from fastapi.testclient import TestClient

from ufgraphfr.serve.http import Served, create_app

VALUES = {
    "data": {"kind": "synthetic", "users": 24, "items": 48, "interactions": 12},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "ufgraphformer", "dim": 8, "heads": 2},
    "federation": {"rounds": 10},
}
EXAMPLES = int(os.environ.get("FUZZED", "400"))

known = st.sampled_from([f"i{place}" for place in range(48)])
names = known | st.text(max_size=12) | st.sampled_from(["Red picture 1", "i1, i2", "\0", "\ud800"])
several = st.lists(names, max_size=6)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
fields = {
    "history": several | st.lists(known, max_size=48, unique=True),
    "profile": st.dictionaries(st.sampled_from(["group", "age", "x"]) | names, names, max_size=3),
    "n": st.integers(-2, 600),
    "exclude": several,
    "where": st.dictionaries(st.sampled_from(["genre", "kind"]) | names, several, max_size=2),
    "seen": st.booleans(),
    "why": st.booleans(),
}
wanted = st.fixed_dictionaries({}, optional=fields)
spoiled = st.fixed_dictionaries({}, optional={name: own | anything for name, own in fields.items()})
bodies = wanted | spoiled | anything
batches = st.fixed_dictionaries({"requests": st.lists(bodies, max_size=3) | anything})
posts = st.tuples(st.sampled_from(["/recommend", "/recommend/batch"]), bodies | batches).map(
    lambda one: ("POST", one[0], json.dumps(one[1]).encode("utf-8", "surrogatepass"))
)
raw = st.tuples(
    st.sampled_from(["POST", "PUT", "GET", "DELETE"]),
    st.sampled_from(["/recommend", "/recommend/batch", "/health", "/similar/", "/nowhere"]),
    st.binary(max_size=60),
)
# what a client may write into an address, escaped as clients do
written = st.text(st.characters(codec="utf-8"), max_size=30)


def address(start, key):
    """From a text and a count to a request for an address with both."""

    def made(one):
        text, n = one
        query = urlencode({key: text, "n": n} if key else {"n": n})
        return "GET", f"{start}{'' if key else quote(text, safe='')}?{query}", b""

    return made


counts = st.integers(-3, 600) | written
gets = st.tuples(written | known, counts).map(address("/similar/", "")) | st.tuples(
    written, counts
).map(address("/items", "query"))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    list(execute(build(VALUES), folder, device="cpu"))
    with TestClient(create_app(Served(folder)), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(one=posts | raw | gets)
def test_nothing_is_a_fault_of_the_service(client, one):
    method, path, body = one
    answer = client.request(
        method, path, content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) >= {"type", "title", "status", "detail"}
