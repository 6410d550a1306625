"""What several runs have spent on the same people's data is added up."""

import json
import stat

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.releases import Release
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.privacy.accounted import accounting
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.registry import Registry
from ufgraphfr.privacy.base import Participation, ReleasePlan


def promised(path=None, epsilon=1.0, kind="central-jdp", rate=None, **keys) -> Ledger:
    times = 1 if kind == "ldp" else 2
    participation = Participation(Release("update", 1, times, norm=1.0), times, rate, 100)
    ledger = Ledger(path)
    mechanism = MECHANISMS.build(kind, {"epsilon": epsilon} | keys, "[privacy]")
    mechanism.calibrate(ReleasePlan((participation,), 1000, True, "fedmf"), ledger)
    return ledger


def paid(registry, ledger, rounds=2) -> Ledger:
    for number in range(1, rounds + 1):
        ledger.spend("update", number)
        registry.note(ledger)
    return ledger


def composed(*epsilons: float) -> float:
    """Gaussian releases have mu = 1 / sigma, and squares of mu add up."""
    mu_squared = sum(accounting.noise_of(epsilon, 1e-5) ** -2 for epsilon in epsilons)
    return accounting.epsilon_of(mu_squared**-0.5, 1e-5)


def test_a_second_run_spends_again(tmp_path) -> None:
    registry = Registry(("digest", "place"), tmp_path)
    first, second = promised(), promised(epsilon=2.0)
    assert first.run != second.run
    assert registry.together(first).epsilon == pytest.approx(1.0)
    paid(registry, first)
    found = registry.together(second)
    assert (found.runs, found.delta) == (2, 1e-5)
    assert found.epsilon == pytest.approx(composed(1.0, 2.0))
    assert "in 2 runs on this machine" in str(found)
    # a run counts once, whether or not it has paid
    paid(registry, second)
    assert registry.together(second).epsilon == pytest.approx(composed(1.0, 2.0))


def test_only_what_was_paid_for_counts_of_others(tmp_path) -> None:
    registry = Registry(("digest",), tmp_path)
    paid(registry, promised(), rounds=1)
    half = registry.together(promised()).epsilon
    assert 1.0 < half < composed(1.0, 1.0)


@pytest.mark.parametrize(
    ("data", "same"),
    [(("digest", "elsewhere"), True), (("changed", "place"), True), (("other", "where"), False)],
)
def test_data_are_known_by_their_digest_or_by_their_place(tmp_path, data, same) -> None:
    paid(Registry(("digest", "place"), tmp_path), promised())
    assert (Registry(data, tmp_path).together(promised()).runs == 2) == same


def test_a_run_finds_the_others_without_its_data(tmp_path) -> None:
    registry = Registry(("digest",), tmp_path)
    first, second = paid(registry, promised()), paid(registry, promised())
    assert Registry((), tmp_path).together(first).runs == 2
    assert Registry((), tmp_path).together(promised()).runs == 1
    assert second.run != first.run


@pytest.mark.slow
def test_local_noise_and_secret_cohorts_are_added_up_too(tmp_path) -> None:
    registry = Registry(("digest",), tmp_path)
    paid(registry, promised(kind="ldp"), rounds=1)
    assert registry.together(promised()).epsilon == pytest.approx(composed(1.0, 1.0))
    with_coins = registry.together(promised(rate=0.1)).epsilon
    assert 1.0 < with_coins < 2.0


def test_without_a_guarantee_nothing_is_added_up(tmp_path) -> None:
    registry = Registry(("digest",), tmp_path)
    seeded = promised(seeded_noise=True)
    paid(registry, seeded)
    assert registry.together(seeded) is None
    assert registry.together(promised()).runs == 1


def test_a_ledger_that_was_put_back_is_refused(tmp_path) -> None:
    registry, path = Registry(("digest",), tmp_path), tmp_path / "ledger.jsonl"
    ledger = paid(registry, promised(path), rounds=1)
    before = path.read_bytes()
    registry.check(ledger)
    ledger.spend("update", 2)
    registry.note(ledger)
    registry.check(Ledger(path))
    path.write_bytes(before)
    with pytest.raises(InputError, match="has 2 lines, but 3 were written: an older copy"):
        registry.check(Ledger(path))


def test_the_file_says_nothing_to_others(tmp_path) -> None:
    paid(Registry(("digest", "mine/ratings.csv"), tmp_path / "cache"), promised())
    for name in ("registry.jsonl", "key"):
        assert stat.S_IMODE((tmp_path / "cache" / name).stat().st_mode) == 0o600
    content = (tmp_path / "cache" / "registry.jsonl").read_text()
    assert 'digest"' not in content
    assert "ratings" not in content


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path) -> None:
    registry = Registry(("digest",), tmp_path)
    paid(registry, promised())
    file = tmp_path / "registry.jsonl"
    with file.open("a") as begun:
        begun.write('{"schema": "ufgraphfr-reg')
    assert registry.together(promised()).runs == 2
    paid(registry, promised())
    assert [json.loads(line)["entries"] for line in file.read_text().splitlines()] == [2, 3, 2, 3]


def test_a_registry_that_cannot_be_written_stops_the_release(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    registry = Registry(("digest",), tmp_path / "file" / "folder")
    with pytest.raises(InputError, match="nobody knows what was spent"):
        paid(registry, promised())
