"""central-jdp: what it promises, and the budgets it refuses."""

import math
from typing import Any

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.releases import Release
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.privacy.accounted.accounting import epsilon_of, noise_of
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.noise import secure_noise, seeded_noise
from ufgraphfr.privacy.base import Participation, ReleasePlan

ONE_SHOT = Participation(Release("graph", 1, 1, norm=1.0), 1, None, 1000)
TRAINED = Participation(Release("update", 1, 20), 20, None, 1000)


def calibrate(
    *participations: Participation, sums: bool = True, clients: int = 1000, **values: Any
):
    mechanism = MECHANISMS.build("central-jdp", {"epsilon": 2} | values, "[privacy]")
    ledger = Ledger(None)
    found = mechanism.calibrate(
        ReleasePlan(participations, clients, sums, "fedmf", ("because",)), ledger
    )
    assert isinstance(found, NoisedSums)
    return found, ledger.guarantee


def test_the_promise_is_written_before_anything_is_released() -> None:
    mechanism, guarantee = calibrate(TRAINED, clip=0.5, row_cap=0.1)
    assert guarantee is not None
    assert guarantee["epsilon"] == pytest.approx(2)
    assert guarantee["epsilon_replace_one"] == pytest.approx(
        epsilon_of(noise_of(2, 1e-5) / 2, 1e-5)
    )
    assert (guarantee["delta"], guarantee["trust"], guarantee["clients"]) == (1e-5, "server", 1000)
    assert guarantee["accountant"].startswith("dp-accounting 0.6")
    assert guarantee["why"] == ["because"]
    assert guarantee["parts"]["update"] == {
        "first_round": 1,
        "releases": 20,
        "participations": 20,
        "rate": None,
        "noise_multiplier": pytest.approx(noise_of(2, 1e-5) * math.sqrt(20)),
        "clip": 0.5,
        "row_cap": 0.1,
    }
    assert mechanism.parts[0].row_cap == 0.1
    assert not mechanism.ledger.spends


def test_what_is_bounded_by_construction_keeps_its_bound() -> None:
    mechanism, _ = calibrate(ONE_SHOT, clip=0.01)
    assert mechanism.clip_of(mechanism.parts[0]) == 1.0
    assert mechanism.parts[0].noise == pytest.approx(noise_of(2, 1e-5))


def test_every_shard_adds_all_of_the_noise() -> None:
    mechanism, guarantee = calibrate(ONE_SHOT, trust="shard", shards=4)
    assert mechanism.noise_copies == 4
    assert guarantee is not None
    assert guarantee["shards"] == 4
    spec = MECHANISMS.build("central-jdp", {"epsilon": 2, "trust": "shard", "shards": 4}, "")
    budget = spec.budget(500)
    assert budget is not None
    assert budget.noise == pytest.approx(2 * noise_of(2, 1e-5))


def test_seeded_noise_promises_nothing() -> None:
    mechanism, guarantee = calibrate(ONE_SHOT, seeded_noise=True)
    assert guarantee is not None
    assert guarantee["epsilon"] is guarantee["delta"] is guarantee["epsilon_replace_one"] is None
    assert mechanism._draw is seeded_noise
    assert calibrate(ONE_SHOT)[0]._draw is secure_noise


@pytest.mark.slow
def test_secret_cohorts_are_amplified_and_have_no_replace_one() -> None:
    _, guarantee = calibrate(Participation(Release("update", 1, 10), 10, 0.1, 100), clip=1.0)
    assert guarantee is not None
    assert guarantee["epsilon_replace_one"] is None
    assert guarantee["parts"]["update"]["noise_multiplier"] < noise_of(2, 1e-5) * math.sqrt(10) / 2


@pytest.mark.parametrize(
    ("participation", "values", "rule"),
    [
        (TRAINED, {"delta": 1e-3}, r"delta = 0.001 must be at most 1 / \(10 clients\) = 0.0001"),
        (TRAINED, {"participation_cap": 3}, "a client may be asked 20 times for 'update'"),
        (
            TRAINED,
            {"epsilon": 1e-9, "clip": 1.0},
            r"epsilon = 1e-09 cannot be kept .* choose it between",
        ),
        (
            Participation(Release("u", 1, 9), 9, 1e-3, 1),
            {"clip": 1.0},
            "a round may come out empty",
        ),
        (
            Participation(Release("u", 1, 9), 9, None, 30),
            {},
            "clip = 'adaptive' needs larger cohorts",
        ),
    ],
)
def test_impossible_plans_are_refused(participation, values, rule) -> None:
    with pytest.raises(InputError, match=rule):
        calibrate(participation, **values)


def test_an_algorithm_that_needs_each_update_is_refused() -> None:
    with pytest.raises(InputError, match="fedmf needs each client's own update"):
        calibrate(TRAINED, sums=False)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({}, "epsilon"),
        ({"epsilon": 0}, "greater than 0"),
        ({"epsilon": 1, "delta": 1}, "less than 1"),
        ({"epsilon": 1, "shards": 3}, "shards = 3 goes with trust = 'shard'"),
        ({"epsilon": 1, "clip": "median"}, "clip"),
        ({"epsilon": 1, "shares": {"graph": 0}}, "greater than 0"),
    ],
)
def test_a_bad_table_is_refused(values, rule) -> None:
    with pytest.raises(InputError, match=rule):
        MECHANISMS.build("central-jdp", values, "[privacy]")


def test_shares_name_parts_of_the_model() -> None:
    with pytest.raises(InputError, match="shares names 'other', but the parts of this model are"):
        calibrate(ONE_SHOT, shares={"other": 0.5})


@pytest.mark.parametrize("kind", ["none", "laplace-as-published"])
def test_an_epsilon_given_to_a_mechanism_without_one_is_an_error(kind: str) -> None:
    with pytest.raises(InputError, match="has no key 'epsilon'"):
        MECHANISMS.build(kind, {"epsilon": 1}, "[privacy]")
    mechanism = MECHANISMS.build(kind, {}, "[privacy]")
    ledger = Ledger(None)
    assert mechanism.calibrate(ReleasePlan((TRAINED,), 10, True, "fedmf"), ledger) is mechanism
    assert ledger.guarantee is None
    assert mechanism.budget(10) is None
