"""What a budget affords follows from the users who are counted on, never from the ids there are."""

import tomllib
from dataclasses import replace

import pytest
import tomli_w

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft, draft_tryout
from ufgraphfr.experiment import build
from ufgraphfr.experiment.privacy_plan import model_in_use


def values(items):
    items.write_text("item,title,genre\n" + "".join(f"i{k},Film {k},g{k % 3}\n" for k in range(30)))
    return {
        "data": {"kind": "table", "interactions": "later", "items": str(items)},
        "text": {"kind": "hashing", "width": 16},
        "algorithm": {"kind": "ufgraphformer"},
        "privacy": {
            "kind": "central-jdp",
            "epsilon": 8.0,
            "delta": 1e-8,
            "trust": "shard",
            "shards": 2,
        },
    }


@pytest.fixture
def drafted(tmp_path):
    experiment = build(values(tmp_path / "items.csv"))

    def made(capacity, min_users=20, expected=None):
        return draft(experiment, 2, capacity, min_users, expected_users=expected)

    return made


def parts(documents):
    setting = documents.agreement.setting(documents.catalogue, embed_titles=False)
    experiment = documents.agreement.experiment
    model = model_in_use(experiment, setting)
    return [release.part for release in model.releases(experiment.federation.rounds)]


def test_a_larger_capacity_decides_nothing(drafted):
    assert parts(drafted(1_000)) == parts(drafted(1_000_000)) == ["popularity"]
    few, many = (parts(drafted(1_000_000, expected=users)) for users in (40, 1_000_000))
    assert few == ["popularity"]
    assert set(many) > set(few)


def test_what_is_left_open_follows_from_the_users_who_are_counted_on(tmp_path):
    """Cohort, rounds and width are the model: a larger capacity changes nothing but the ids."""
    changed = values(tmp_path / "items.csv")
    del changed["privacy"]
    experiment = build(changed)

    def settings(capacity, expected=None):
        agreement = draft(experiment, 2, capacity, 20, expected_users=expected).agreement
        return agreement.experiment.resolved()

    assert settings(1_000) == settings(100_000)
    assert settings(100_000, expected=50_000) != settings(100_000)
    assert settings(1_000)["federation"]["cohort"] <= 40


def test_counted_on_are_the_users_without_whom_nothing_leaves(drafted):
    assert drafted(1_000, min_users=30).agreement.expected_users == 60
    with pytest.raises(InputError, match=r"60 users are expected of 2 nodes, which may have 50"):
        drafted(25, min_users=30)


def test_a_try_out_counts_its_users(tmp_path):
    changed = values(tmp_path / "items.csv")
    changed["data"] = {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8}
    changed["privacy"]["delta"] = 1e-3
    agreement = draft_tryout(build(changed), 2, Deployment(tmp_path / "d")).agreement
    assert agreement.expected_users == 30


def test_an_agreement_of_before_means_what_it_meant(drafted, tmp_path):
    agreement = drafted(1_000_000, expected=1_000_000).agreement
    path = tmp_path / "agreement.toml"
    agreement.write(path)
    assert read_agreement(path) == replace(agreement, signed=path.read_bytes())
    document = tomllib.loads(path.read_text())
    del document["expected_users"]
    path.write_text(tomli_w.dumps(document))
    before = read_agreement(path)
    assert before.expected_users == 0
    assert before.experiment == agreement.experiment
