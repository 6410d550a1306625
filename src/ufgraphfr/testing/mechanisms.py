"""What every privacy mechanism owes: bounds that hold, noise as promised, and nothing unpaid."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report
from ufgraphfr.core.releases import Release
from ufgraphfr.privacy.accounted.ledger import BudgetSpent, Ledger
from ufgraphfr.privacy.base import Mechanism, Participation, PrivacySpec, ReleasePlan
from ufgraphfr.testing.contracts import (
    DEFAULTS,
    Settings,
    check,
    configured,
    require,
    survives_a_round_trip,
)

CLIENTS, NUMBERS = 1000, 16
KEY = Key(1).at(1)
NAME = "joint"
"""Of the array that is released."""
DRAWS = 40
"""Runs over which the noise is measured: 640 numbers, whose deviation is known within 3 %."""


def check_mechanism(spec: type[PrivacySpec], configurations: Settings = DEFAULTS) -> None:
    """Hold a mechanism to its contracts: one release of 16 numbers a client, of length 1 at most.

    Args:
        spec: the class.
        configurations: keys that differ from their defaults, one dict for each check.

    Raises:
        AssertionError: a contract is broken.
        InputError: a configuration is wrong.
    """
    for mechanism, name in configured(spec, configurations):
        check(mechanism, MECHANISM_CONTRACTS, name)


def _calibrated(spec: PrivacySpec) -> tuple[Mechanism, Ledger]:
    participation = Participation(Release("update", 1, 1, norm=1.0), 1, None, CLIENTS)
    ledger = Ledger(None)
    return spec.calibrate(ReleasePlan((participation,), CLIENTS, True, "fedmf"), ledger), ledger


def _updates(length: float, clients: int = 5) -> Tensor:
    """Made-up updates of that length, float ``[clients, numbers]``."""
    drawn = torch.randn(clients, NUMBERS, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(drawn, dim=1) * length


def _private(mechanism: Mechanism, values: Tensor) -> Tensor:
    """What leaves the devices, ``[clients, numbers]``."""
    arrays = mechanism.privatize({NAME: Dense(values)}, torch.arange(len(values)), KEY)
    return arrays[NAME].dense()


def _released(mechanism: Mechanism, values: Tensor) -> Tensor:
    """What the server is given, the sum over clients."""
    clients = torch.arange(len(values))
    arrays = mechanism.privatize({NAME: Dense(values)}, clients, KEY)
    no_loss = torch.zeros(len(values))
    report = Report(KEY.round, clients, arrays, Aggregation.PER_CLIENT, no_loss).total()
    return mechanism.finalize(report, KEY).sums[NAME]


def leaves_its_arguments_alone(spec: PrivacySpec) -> None:
    """A device's update is not changed in place."""
    values = _updates(3.0)
    kept = values.clone()
    _private(_calibrated(spec)[0], values)
    require(torch.equal(values, kept), "privatize writes into the update it is handed")


def treats_each_client_alone(spec: PrivacySpec) -> None:
    """A client's upload depends on nobody else, wherever its noise can be drawn again."""
    values = _updates(3.0)
    together, again = (_private(_calibrated(spec)[0], values) for _ in range(2))
    if torch.equal(together, again):
        alone = _private(_calibrated(spec)[0], values[:1])
        require(torch.equal(alone, together[:1]), "an upload depends on who else takes part")


def keeps_its_bound(spec: PrivacySpec) -> None:
    """No upload is longer than the mechanism says, whatever was trained."""
    for length in (0.0, 1e-6, 1.0, 1e6):
        mechanism, _ = _calibrated(spec)
        bound = mechanism.upload_norm_bound(KEY.round)
        if bound is not None:
            longest = float(_private(mechanism, _updates(length)).double().norm(dim=1).max())
            sentence = f"an update of length {length:g} leaves with {longest:g} > {bound:g}"
            require(longest <= bound * (1 + 1e-6), sentence)


def promises_before_it_releases(spec: PrivacySpec) -> None:
    """Who is private has promised something and pays; who is not says so."""
    mechanism, ledger = _calibrated(spec)
    guarantee: dict[str, Any] = dict(ledger.guarantee or {})
    if not mechanism.is_private:
        require(not guarantee, "it promises a guarantee, but does not say that it is private")
        sentence = f"it has no guarantee, but claims '{spec.guarantee}'"
        require(spec.guarantee.startswith("no privacy guarantee"), sentence)
        return
    require(
        bool(guarantee), "it is private, but no promise is in the ledger before the first release"
    )
    _released(mechanism, _updates(1.0))
    require(len(ledger.spends) == 1, "a release is not in the ledger")
    if bool(_private(_calibrated(spec)[0], torch.zeros(1, NUMBERS)).any()):
        return  # devices add the noise, and clients of one round may be asked in chunks
    try:
        _released(mechanism, _updates(1.0))
    except BudgetSpent:
        require(len(ledger.spends) == 1, "a release that the ledger refuses is paid for")
    else:
        raise AssertionError("the same round is released twice on one payment")


def has_the_noise_it_pays_for(spec: PrivacySpec) -> None:
    """What is released of updates of zero is noise as large as the ledger says, or larger."""
    drawn, paid = [], 0.0
    for _ in range(DRAWS):
        mechanism, ledger = _calibrated(spec)
        if not mechanism.is_private:
            return
        drawn.append(_released(mechanism, torch.zeros(1, NUMBERS)))
        paid = ledger.spends[-1]["clip"] * ledger.spends[-1]["noise"]
    found = float(torch.cat(drawn).double().std())
    require(found >= 0.85 * paid, f"noise of {found:.3g} where {paid:.3g} is paid for")


MECHANISM_CONTRACTS: tuple[Callable[[PrivacySpec], None], ...] = (
    survives_a_round_trip,
    leaves_its_arguments_alone,
    treats_each_client_alone,
    keeps_its_bound,
    promises_before_it_releases,
    has_the_noise_it_pays_for,
)
