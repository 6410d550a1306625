"""The one-run audit passes a correct Gaussian mechanism and catches wrong ones."""

import math

import pytest
import torch
from gaussian import Gaussian

from ufgraphfr.audit.attacks.canaries import Canaries, Canary
from ufgraphfr.audit.bounds import gaussian_estimate, gaussian_mu, one_run_epsilon
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.privacy.none import NoMechanism

DELTA = 1e-5
ATTACK = Canaries(canaries=600, cells_each=20)


def audited(noise, rounds, seed=0):
    """Both lower bounds on epsilon: from one run, and from the Gaussian estimate."""
    mechanism = Gaussian(clip=1.0, noise=noise, test_seed=seed)
    scores, inside = ATTACK.play(mechanism, FederationSpec(rounds=rounds), seed)
    return one_run_epsilon(scores, inside, DELTA), gaussian_estimate(scores, inside, DELTA)


@pytest.mark.parametrize("rounds", [1, 6])
def test_a_correct_mechanism_passes_and_its_distance_is_found(rounds):
    mu = gaussian_mu(1.0, DELTA)
    one_run, (found, epsilon) = audited(math.sqrt(rounds) / mu, rounds)
    assert one_run <= 1.0
    assert epsilon.low <= 1.0
    assert found.value == pytest.approx(mu, abs=0.17)  # two standard errors


def test_forgetting_the_square_root_of_the_rounds_is_caught_by_both():
    # claims epsilon 1 for 22 rounds, with the noise of one
    one_run, (_, epsilon) = audited(1 / gaussian_mu(1.0, DELTA), rounds=22)
    assert one_run > 1.0
    assert epsilon.low > 3.0


def test_half_the_noise_is_caught_by_the_gaussian_estimate():
    # claims epsilon 8, has 4.4 times the budget
    _, (_, epsilon) = audited(0.5 / gaussian_mu(8.0, DELTA), rounds=1)
    assert epsilon.low > 8.0
    _, (_, honest) = audited(1 / gaussian_mu(8.0, DELTA), rounds=1)
    assert honest.low <= 8.0


def test_without_noise_nobody_can_hide():
    scores, inside = ATTACK.play(NoMechanism(), FederationSpec(rounds=2), 0)
    findings = ATTACK.findings("broadcast", scores, inside)
    assert findings[0].value == 1.0
    assert findings[0].bounded
    assert findings[1].value > 3.0


def test_a_canary_is_longer_than_any_clip_and_its_direction_is_its_own():
    canary = Canary(cells=6400)
    one, other = canary.directions(torch.tensor([0, 1]))
    assert float(one.norm()) == pytest.approx(1)
    assert abs(float(one @ other)) < 0.06
    assert torch.equal(canary.directions(torch.tensor([1]))[0], other)
