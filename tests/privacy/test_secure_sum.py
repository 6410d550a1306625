"""trust = "secure-sum" in a simulation: what is promised and refused, how large the noise is."""

import json
import math

import pytest
import torch

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, one_row
from ufgraphfr.core.releases import Release
from ufgraphfr.experiment import build
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.privacy.accounted.accounting import epsilon_of, noise_of
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
from ufgraphfr.privacy.accounted.layout import FINE, LEAST_BITS, TAIL, layout
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.statement import in_words, statement
from ufgraphfr.privacy.accounted.verified import verified
from ufgraphfr.privacy.base import Participation, ReleasePlan

ONE_SHOT = Participation(Release("graph", 1, 1, norm=1.0), 1, None, 1000)
FOUR = {"trust": "secure-sum", "shards": 4}


def calibrate(participation=ONE_SHOT, path=None, **values):
    spec = MECHANISMS.build("central-jdp", {"epsilon": 8, **FOUR} | values, "[privacy]")
    ledger = Ledger(path)
    plan = ReleasePlan((participation,), 1000, True, "fedmf")
    mechanism = spec.calibrate(plan, ledger)
    assert isinstance(mechanism, NoisedSums)
    return spec, mechanism, ledger


def test_both_epsilons_are_claimed_and_printed():
    _, _, ledger = calibrate()
    guarantee, noise = ledger.guarantee, noise_of(8, 1e-5)
    assert guarantee["epsilon"] == pytest.approx(8, rel=1e-3)
    assert (guarantee["trust"], guarantee["shards"], guarantee["tolerate"]) == ("secure-sum", 4, 1)
    everybody_else = epsilon_of(noise / math.sqrt(3), 1e-5)
    assert guarantee["epsilon_all_others"] == pytest.approx(everybody_else)
    assert everybody_else > 15
    for said in (statement(ledger), in_words(guarantee)):
        assert f"{everybody_else:.3g}" in said
    assert "with up to 1 of the 4 data holders: epsilon = 8" in statement(ledger)
    assert "each of 4 data holders adds 1/3 of the variance" in statement(ledger)
    # somebody's parts of one total add up, where nodes that release apart have noise of their own
    everywhere = epsilon_of(noise / 4, 1e-5)
    assert f"For somebody who is with all 4, epsilon = {everywhere:.3g}." in statement(ledger)


@pytest.mark.parametrize(
    ("field", "value"),
    [("epsilon_all_others", 8.0), ("tolerate", 2), ("shards", 2), ("tolerate", 3)],
)
def test_a_claim_that_its_noise_does_not_give_is_not_printed(field, value, tmp_path):
    path = tmp_path / "ledger.jsonl"
    calibrate(path=path)
    (line,) = path.read_text().splitlines()
    entry = json.loads(line)
    entry["claim"][field] = value
    path.write_text(json.dumps(entry) + "\n")
    with pytest.raises(InputError, match="altered"):
        verified(Ledger(path))


def test_the_total_has_a_little_more_noise_than_a_trusted_servers():
    spec, mechanism, _ = calibrate()
    assert mechanism.noise_copies == pytest.approx(4 / 3)
    trusted = MECHANISMS.build("central-jdp", {"epsilon": 8}, "[privacy]").budget(1000)
    assert spec.budget(1000).noise == pytest.approx(trusted.noise * math.sqrt(4 / 3))
    report = Report(
        1,
        torch.arange(2),
        one_row({"a": torch.zeros(20_000).long()}),
        Aggregation.SUM,
        torch.ones(2),
    )
    promised = mechanism.parts[0].noise
    total = mechanism.finalize(report, Key(0).at(1)).sums["a"]
    assert float(total.std()) == pytest.approx(promised * math.sqrt(4 / 3), rel=0.03)
    parts = [mechanism.of_one_shard(spec.share) for _ in range(4)]
    shares = [each.noised(report, Key(0).at(1)).sums["a"] for each in parts]
    assert float(torch.stack(shares).sum(0).std()) == pytest.approx(float(total.std()), rel=0.03)
    # without its own and one colluder's share
    assert float(torch.stack(shares[1:]).sum(0).std()) == pytest.approx(promised, rel=0.03)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shards": 2, "tolerate": 0}, "needs 3 nodes or more"),
        ({"shards": 1}, "needs 3 nodes or more"),
        ({"shards": 3, "tolerate": 2}, "choose at most 1"),
        ({"trust": "shard", "tolerate": 2}, "goes with trust = 'secure-sum'"),
    ],
)
def test_what_hides_nothing_is_refused_with_the_reason(changes, said):
    with pytest.raises(InputError, match=said):
        calibrate(**changes)


def test_a_clip_that_adapts_is_refused():
    trained = Participation(Release("update", 1, 2), 2, None, 1000)
    with pytest.raises(InputError, match="set a number"):
        calibrate(trained)
    calibrate(trained, clip=0.5)


def test_secret_coins_are_refused():
    values = {
        "data": {"kind": "synthetic", "users": 30, "items": 40, "interactions": 8},
        "text": {"kind": "hashing", "width": 16},
        "algorithm": {"kind": "fedmf", "dim": 4},
        "federation": {"rounds": 2, "cohort": 0.5, "sampling": "poisson"},
        "privacy": {"kind": "central-jdp", "epsilon": 8, "clip": 1.0, **FOUR},
    }
    with pytest.raises(InputError, match='trust = "secure-sum" data holders are asked'):
        build(values)


@pytest.mark.parametrize(
    ("clients", "noise", "width"), [(60, 5, 4), (8000, 50, 4), (400_000, 5, 5), (2**40, 1, 8)]
)
def test_a_layout_holds_every_sum_and_is_no_wider_than_need_be(clients, noise, width):
    found = layout(clients, noise)
    assert found.width == width
    if found == FINE:
        return
    largest = (clients + TAIL * noise) * 2 ** (found.bits + 1)
    assert largest < 2 ** (8 * width - 1)
    assert found.bits >= LEAST_BITS
