"""The page says what was promised, to whom, and what is not covered; never an epsilon without."""

import pytest

from ufgraphfr.core.releases import Release
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.statement import in_words, proven, statement
from ufgraphfr.privacy.base import Participation, ReleasePlan


def ledger_of(rate: float | None = None, kind: str = "central-jdp", **values) -> Ledger:
    participation = Participation(Release("popularity", 1, 1, norm=2.0), 1, rate, 100)
    ledger = Ledger(None)
    mechanism = MECHANISMS.build(kind, {"epsilon": 2} | values, "[privacy]")
    mechanism.calibrate(
        ReleasePlan((participation,), 1000, True, "ufgraphformer", ("it is enough",)), ledger
    )
    return ledger


def test_it_holds_every_fact_of_the_promise() -> None:
    ledger = ledger_of()
    ledger.spend("popularity", 1)
    page = statement(ledger)
    for fact in (
        "epsilon = 2, delta = 1e-05: joint differential privacy, billboard model",
        "all data of one user",
        "each of 1,000 users",
        "zero-out",
        "epsilon = 4.39",
        "it is trusted to clip",
        "| popularity | 1 | at most 1 | 1.994 | 2 | 1 |",
        "dp-accounting 0.6",
        "drawn exactly: its share of delta is 0",
        "it is enough",
        "Nothing is claimed from sampling",
        "Empirical lower bound",
    ):
        assert fact in page
    assert in_words(ledger.guarantee) == (
        "user-level (2, 1e-05)-joint differential privacy, billboard model; trusted server"
    )
    assert proven(ledger.guarantee) == ledger.guarantee


def test_each_trust_model_is_named() -> None:
    shard = ledger_of(trust="shard", shards=4)
    assert "the server included" in statement(shard)
    assert "once for each of 4 data holders" in statement(shard)
    assert "untrusted server, 4 trusted data holders" in str(in_words(shard.guarantee))
    # each holder's noise hides one share of who is with all of them: mu is sqrt(4) as large
    assert "For somebody who is with all 4, epsilon = 4.39." in statement(shard)
    local = ledger_of(kind="ldp")
    assert "nobody trusted" in str(in_words(local.guarantee))
    assert "each device noises its own numbers" in statement(local)


def test_what_is_computed_from_people_without_noise_is_said() -> None:
    participation = Participation(Release("popularity", 1, 1, norm=2.0), 1, None, 100)
    ledger = Ledger(None)
    plan = ReleasePlan(
        (participation,), 1000, True, "fedmf", uncovered=("The list of items is theirs.",)
    )
    MECHANISMS.build("central-jdp", {"epsilon": 2}, "[privacy]").calibrate(plan, ledger)
    uncovered = statement(ledger).partition("## What is not covered")[2]
    assert "- The list of items is theirs." in uncovered
    assert "The catalogue, its features" not in statement(ledger)
    assert "The catalogue, its features" in statement(ledger_of())


@pytest.mark.slow
def test_amplification_is_an_assumption() -> None:
    assert "Each user's coin in each round is secret" in statement(ledger_of(rate=0.1))


@pytest.mark.parametrize("ledger", [Ledger(None), ledger_of(seeded_noise=True)])
def test_no_guarantee_no_epsilon(ledger: Ledger) -> None:
    assert "epsilon" not in statement(ledger)
    assert statement(ledger).startswith("# Privacy\n\nNo privacy guarantee")
    assert proven(ledger.guarantee) is None
    assert "epsilon" not in (in_words(ledger.guarantee) or "")
