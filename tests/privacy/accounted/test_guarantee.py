"""What has been spent so far: nothing at first, the whole promise at the end."""

import pytest

from ufgraphfr.experiment import build
from ufgraphfr.experiment.privacy_plan import calibrate
from ufgraphfr.privacy.accounted.guarantee import central_spent
from ufgraphfr.privacy.accounted.ledger import Ledger

ROUNDS, USERS = 4, 100


def promised(cohort=USERS, sampling="fixed", **privacy) -> Ledger:
    experiment = build(
        {
            "algorithm": {"kind": "fedmf", "dim": 4},
            "federation": {"rounds": ROUNDS, "cohort": cohort, "sampling": sampling},
            "privacy": {"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3, "clip": 1.0}
            | privacy,
        }
    )
    ledger = Ledger(None)
    calibrate(experiment, experiment.model, USERS, ledger)
    return ledger


def spending(ledger: Ledger) -> list[float | None]:
    """Before the first round, and after each."""
    (part,) = ledger.guarantee["parts"]
    found = [central_spent(ledger)]
    for number in range(1, ROUNDS + 1):
        ledger.spend(part, number)
        found.append(central_spent(ledger))
    return found


def test_what_is_spent_grows_from_nothing_to_the_promise():
    ledger = promised()
    found = spending(ledger)
    assert found[0] == 0.0
    assert found == sorted(found)
    assert len(set(found)) == ROUNDS + 1
    assert found[-1] == pytest.approx(ledger.guarantee["epsilon"], rel=1e-9)


def test_a_user_pays_for_no_more_rounds_than_it_takes_part_in():
    """Taking turns, each user is in one of four rounds, and the first may have been it."""
    ledger = promised(USERS // ROUNDS, "rotation")
    (part,) = ledger.guarantee["parts"].values()
    assert part["participations"] < ROUNDS
    found = spending(ledger)
    assert found[part["participations"]] == pytest.approx(ledger.guarantee["epsilon"], rel=1e-9)
    assert found[-1] == found[part["participations"]]


def test_without_a_promise_nothing_is_said():
    assert central_spent(Ledger(None)) is None
    assert central_spent(promised(seeded_noise=True)) is None
