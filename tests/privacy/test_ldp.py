"""ldp: one release of a few numbers, with twice the noise, for any two histories."""

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.releases import Release
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.privacy.accounted.accounting import noise_of
from ufgraphfr.privacy.accounted.gaussian import NoisedClients
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Participation, ReleasePlan

TASTE = Participation(Release("taste", 1, 1, norm=1.0), 1, None, 100)
LDP = MECHANISMS.build("ldp", {"epsilon": 4}, "[privacy]")


def test_its_promise_and_its_noise() -> None:
    ledger = Ledger(None)
    mechanism = LDP.calibrate(ReleasePlan((TASTE,), 100, True, "ufgraphformer"), ledger)
    assert isinstance(mechanism, NoisedClients)
    assert mechanism.parts[0].noise == pytest.approx(2 * noise_of(4, 1e-5))
    assert mechanism.most == 16
    assert ledger.guarantee is not None
    assert ledger.guarantee["epsilon"] == pytest.approx(4)
    assert ledger.guarantee["trust"] == "device"


def test_a_sum_gets_everybodys_noise() -> None:
    budget = LDP.budget(100)
    assert budget is not None
    assert budget.most == 16
    assert budget.noise == pytest.approx(10 * 2 * noise_of(4, 1e-5))


@pytest.mark.parametrize(
    "participations",
    [
        (Participation(Release("update", 1, 5), 5, None, 100),),
        (Participation(Release("update", 1, 1), 1, None, 100),),
        (TASTE, TASTE),
    ],
)
def test_more_than_one_bounded_release_is_refused(
    participations: tuple[Participation, ...],
) -> None:
    with pytest.raises(InputError, match="is for one release of at most 16 numbers"):
        LDP.calibrate(ReleasePlan(participations, 100, True, "fedmf"), Ledger(None))
