"""What the service does is what its OpenAPI description says: status, types, headers, and no fault.

FUZZED=1250 pytest tests/serve/test_described.py    # of each operation: 10,000 requests in all
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings

from ufgraphfr.experiment import build, execute

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("schemathesis", reason="it is not installed")

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

from ufgraphfr.serve.http import Served, create_app

VALUES = {
    "data": {"kind": "synthetic", "users": 24, "items": 48, "interactions": 12},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "ufgraphformer", "dim": 8, "heads": 2},
    "federation": {"rounds": 10},
}
# what fits the description is refused all the same where it names no item
LEFT_OUT = [positive_data_acceptance]
EXAMPLES = int(os.environ.get("FUZZED", "25"))


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    list(execute(build(VALUES), folder, device="cpu"))
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(Served(folder)))


@pytest.mark.slow
def test_answers_are_those_of_the_description(described):
    operations = [each.ok() for each in described.get_all_operations()]
    assert {each.path for each in operations} >= {"/recommend", "/recommend/batch", "/items"}
    for operation in operations:

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case):
            case.call_and_validate(excluded_checks=LEFT_OUT)

        check()
