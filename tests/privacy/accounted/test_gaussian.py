"""Clip, sum, pay, noise: in that order, with the noise that was promised."""

import math

import pytest
import torch
from torch import Tensor

from ufgraphfr.core.arrays.dense import Dense
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, one_row
from ufgraphfr.core.releases import Release
from ufgraphfr.privacy.accounted.gaussian import (
    WITHIN,
    GaussianRelease,
    NoisedClients,
    NoisedSums,
)
from ufgraphfr.privacy.accounted.ledger import BudgetSpent, Ledger
from ufgraphfr.privacy.accounted.noise import grid_step, secure_noise
from ufgraphfr.privacy.base import Participation

KEY = Key(1).at(1)
CLIENTS = torch.arange(3)


def ledger_for(rounds: int) -> Ledger:
    ledger = Ledger(None)
    ledger.declare({"parts": {"update": {"releases": rounds}}})
    return ledger


def part(
    noise: float = 1.0, clip: float | None = 2.0, rate: float | None = None, expected: float = 3
) -> GaussianRelease:
    return GaussianRelease(Participation(Release("update", 1, 3), 3, rate, expected), noise, clip)


def calibrate(one: GaussianRelease, holders: int = 1, draw=secure_noise) -> NoisedSums:
    return NoisedSums((one,), ledger_for(3), holders, draw)


def quiet(count: int, *_: object) -> Tensor:
    return torch.zeros(count, dtype=torch.int64)


def released(mechanism: NoisedSums, values: Tensor, key: Key = KEY) -> Tensor:
    return finalized(mechanism, values, key).sums["items"]


def finalized(mechanism: NoisedSums, values: Tensor, key: Key = KEY) -> Report:
    clients = torch.arange(len(values))
    arrays = mechanism.privatize({"items": Dense(values)}, clients, key)
    report = Report(key.round, clients, arrays, Aggregation.PER_CLIENT, torch.zeros(len(values)))
    return mechanism.finalize(report.total(), key)


def test_without_noise_short_updates_are_summed_as_they_are() -> None:
    values = torch.randn(3, 4, 2) / 10
    torch.testing.assert_close(released(calibrate(part(), draw=quiet), values), values.sum(0))


@pytest.mark.parametrize(("noise", "holders"), [(1.0, 1), (3.0, 1), (1.0, 4)])
def test_the_noise_is_as_large_as_promised_whatever_was_sent(noise: float, holders: int) -> None:
    count = 100_000
    values = torch.full((1, count), 1.0 / math.sqrt(count))
    drawn = released(calibrate(part(noise), holders), values) - values[0]
    promised = noise * 2.0 * math.sqrt(holders)
    # six standard errors of a standard deviation
    assert float(drawn.std()) == pytest.approx(promised, rel=6 / math.sqrt(2 * count))
    assert abs(float(drawn.mean())) < 6 * promised / math.sqrt(count)


def test_one_client_moves_a_sum_by_the_clip_at_most() -> None:
    values = torch.zeros(3, 50)
    values[1] = 1e6
    moved = released(calibrate(part(clip=2.0), draw=quiet), values)
    assert float(moved.norm()) == pytest.approx(2.0, abs=1e-4)
    assert float(moved.double().norm()) <= 2.0 * (1 + 1e-6)


def test_the_sum_lies_on_the_grid() -> None:
    steps = released(calibrate(part(noise=0.01)), torch.randn(2, 40)).double() / grid_step(2.0)
    # float32 keeps 24 bits, the sums here have fewer
    assert torch.equal(steps, steps.round())


def test_noise_is_fresh_each_round_and_drawn_for_nobody_too() -> None:
    mechanism = calibrate(part())
    first = released(mechanism, torch.zeros(0, 20))
    second = released(mechanism, torch.zeros(0, 20), KEY.at(2))
    assert float(first.abs().min()) > 0
    assert not torch.equal(first, second)


def test_the_ledger_is_charged_before_noise_is_drawn() -> None:
    def killed(*_: object) -> Tensor:
        raise KeyboardInterrupt

    mechanism = calibrate(part(), draw=killed)
    with pytest.raises(KeyboardInterrupt):
        released(mechanism, torch.zeros(2, 3))
    assert mechanism.ledger.last_round == 1
    with pytest.raises(BudgetSpent, match="never released twice"):
        released(mechanism, torch.zeros(2, 3))


def test_a_round_outside_the_plan_releases_nothing() -> None:
    nothing = Dense(torch.zeros(1, 2))
    with pytest.raises(BudgetSpent, match="round 4 is not in the plan"):
        calibrate(part()).privatize({"items": nothing}, CLIENTS[:1], KEY.at(4))


def test_the_mean_of_a_secret_cohort_has_a_fixed_denominator() -> None:
    values = torch.ones(2, 3)
    mechanism = calibrate(part(rate=0.1, expected=8, clip=100.0), draw=quiet)
    report = finalized(mechanism, values)
    mean = report.sums["items"] / len(report.clients)
    torch.testing.assert_close(mean, values.sum(0) / 8)


@pytest.mark.parametrize("expected", [8, 8.3, 0.4])
def test_nothing_of_a_secret_cohorts_size_reaches_the_algorithm(expected) -> None:
    """Of cohorts with the same sum: neither by a count nor by the last digit of a mean."""
    total = torch.full((1, 50), 3.3) * torch.arange(1, 51)
    reports = []
    for size in (1, 3, 7):
        values = torch.cat((total, torch.zeros(size - 1, 50)))
        mechanism = calibrate(part(rate=0.1, expected=expected, clip=1e4), draw=quiet)
        reports.append(finalized(mechanism, values))
    first = reports[0]
    for report in reports[1:]:
        assert torch.equal(report.clients, first.clients)
        assert report.loss.isnan().all()
        assert torch.equal(report.sums["items"], first.sums["items"])


def test_updates_that_are_not_clipped_are_refused() -> None:
    sums = one_row({"items": torch.zeros(2)})
    report = Report(1, CLIENTS, sums, Aggregation.SUM, torch.zeros(3))
    with pytest.raises(TypeError, match="not a sum of clipped whole numbers"):
        calibrate(part()).finalize(report, KEY)


def test_an_adaptive_clip_moves_to_the_median_and_its_count_is_paid_for() -> None:
    one = GaussianRelease(Participation(Release("update", 1, 400), 400, None, 200), 2.0, None)
    assert one.value_noise**-2 + one.count_noise**-2 == pytest.approx(one.noise**-2)
    mechanism = NoisedSums((one,), ledger_for(400), 1, secure_noise)
    lengths = torch.linspace(1, 3, 200)
    values = torch.nn.functional.normalize(torch.randn(200, 5), dim=1) * lengths[:, None]
    for number in range(1, 101):
        assert released(mechanism, values, Key(1).at(number)).shape == (5,)
    assert mechanism.clip_of(one) == pytest.approx(2.0, abs=0.35)
    resumed = NoisedSums((one,), mechanism.ledger, 1, secure_noise)
    assert resumed.clip_of(one) == mechanism.ledger.spends[-1]["clip"]


def test_an_empty_update_is_no_further_from_any_other_than_is_paid_for() -> None:
    """Over the standard deviations, in the grid's steps, of what is drawn for each number."""
    one = GaussianRelease(Participation(Release("update", 1, 3), 3, None, 100), 2.0, None)
    asked = []

    def draw(count: int, std: float, *_: object) -> Tensor:
        asked.append(std)
        return torch.zeros(count, dtype=torch.int64)

    mechanism = calibrate(one, draw=draw)
    uploads = torch.stack((torch.zeros(5), torch.ones(5), torch.full((5,), 0.01)))
    arrays = mechanism.privatize({"items": Dense(uploads)}, CLIENTS, KEY)
    released(mechanism, uploads)
    apart = 0.0
    for (name, value), std in zip(sorted(arrays.items()), asked, strict=True):
        sent = value.dense().double().flatten(1)
        assert (name == WITHIN) == (std == 2 * one.count_noise)
        apart += float((sent[1:] - sent[0]).square().sum(1).max()) / std**2
    assert apart**0.5 <= 1 / one.noise * (1 + 1e-6)
    assert apart**0.5 >= 0.9 / one.noise


def test_local_noise_is_on_each_client_and_no_more_on_the_server() -> None:
    count = 16
    clients = torch.arange(5000)
    mechanism = NoisedClients((part(noise=0.5),), ledger_for(1), 1, secure_noise, count)
    halves = [clients[:2000], clients[2000:]]
    sent = []
    for half in halves:
        arrays = mechanism.privatize({"taste": Dense(torch.zeros(len(half), count))}, half, KEY)
        sent.append(arrays["taste"].dense())
    assert len(mechanism.ledger.spends) == 1
    each = torch.cat(sent)
    std = each.double().std() * grid_step(2.0)
    assert float(std) == pytest.approx(1.0, rel=0.03)
    sums = one_row({"taste": each.sum(0)})
    report = Report(1, clients, sums, Aggregation.SUM, torch.zeros(5000))
    total = mechanism.finalize(report, KEY).sums["taste"]
    torch.testing.assert_close(total, (each.sum(0) * grid_step(2.0)).float())


def test_local_noise_is_for_few_numbers_only() -> None:
    mechanism = NoisedClients((part(),), ledger_for(1), 1, secure_noise, 16)
    rows = Rows.of(torch.ones(1, 17, 1))
    with pytest.raises(InputError, match="would release 17 numbers"):
        mechanism.privatize({"items": rows}, CLIENTS[:1], KEY)
    assert not mechanism.ledger.spends
