"""Canaries in the model's own arrays: a correct mechanism passes, and each seeded bug is caught."""

import math
import statistics
from dataclasses import replace

import pytest
import torch
from gaussian import Gaussian

from ufgraphfr.algorithms.ufgraphformer.private.model import PrivateForm
from ufgraphfr.audit.attacks.canaries import Canaries
from ufgraphfr.audit.bounds import gaussian_estimate, gaussian_mu, one_run_epsilon
from ufgraphfr.audit.canary_scores import RELEASES, Play
from ufgraphfr.audit.noise_level import noise_level
from ufgraphfr.audit.recording import FinishedRun
from ufgraphfr.audit.replay import record
from ufgraphfr.audit.report import Guarantee, judge
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.privacy.accounted import clipping
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
from ufgraphfr.privacy.none import NoMechanism

DATA = {
    "data": {"kind": "synthetic", "users": 90, "items": 60, "groups": 3, "interactions": 10},
    "text": {"kind": "hashing", "width": 16},
}
BUDGET = {"kind": "central-jdp", "delta": 1e-4}
GRAPH = {"graph_items": 12, "graph_share": 0.5}
RUNS = {
    "flagship": {
        "algorithm": {"kind": "ufgraphformer", "private": GRAPH},
        "federation": {"rounds": 2},
    },
    "fedmf": {
        "algorithm": {"kind": "fedmf", "dim": 4},
        "federation": {"rounds": 3, "cohort": 0.3},
        "privacy": {"clip": 0.5},
    },
    "fedncf": {
        "algorithm": {"kind": "fedncf", "dim": 4},
        "federation": {"rounds": 2},
        "privacy": {"clip": 0.5, "row_cap": 0.3},
    },
    "rotation": {
        "algorithm": {"kind": "fedmf", "dim": 4},
        "federation": {"rounds": 4, "cohort": 0.5, "sampling": "rotation"},
        "privacy": {"clip": 0.5},
    },
    "poisson, adaptive clip": {
        "algorithm": {"kind": "fedmf", "dim": 4},
        "federation": {"rounds": 3, "cohort": 0.5, "sampling": "poisson"},
    },
    "devices": {
        "algorithm": {"kind": "ufgraphformer"},
        "federation": {"rounds": 1},
        "privacy": {"kind": "ldp", "delta": 1e-5},
    },
}


@pytest.fixture(scope="module")
def of(tmp_path_factory):
    """A recording of a finished run under a budget, and its guarantee."""
    made = {}

    def run(name, epsilon):
        if (name, epsilon) not in made:
            folder = tmp_path_factory.mktemp("run") / "run"
            values = {"seed": 2, **DATA, **RUNS[name]}
            values["privacy"] = {**BUDGET, **values.get("privacy", {}), "epsilon": epsilon}
            list(execute(build(values), folder, device="cpu"))
            recording = record(FinishedRun.open(folder), 1, 3)
            made[name, epsilon] = recording, Guarantee.of(Run(folder).result)
        return made[name, epsilon]

    return run


def verdicts(recording, guarantee, canaries):
    found = Canaries(canaries=canaries).run(recording)
    return {f.measure: judge("canaries", "?", f, guarantee).verdict for f in found}


def passes(recording, guarantee, canaries):
    """Whether nothing fails; once more if it does.

    The noise is the operating system's, and each bound is too high in one play of a thousand.
    """
    plays = (verdicts(recording, guarantee, canaries) for _ in range(2))
    return any(set(play.values()) == {"pass"} for play in plays)


POISSON = "poisson, adaptive clip"
SLOW = pytest.param(POISSON, marks=pytest.mark.slow)  # its accountant takes a while


@pytest.mark.parametrize("name", [SLOW, *(name for name in RUNS if name != POISSON)])
def test_a_correct_mechanism_passes(of, name):
    recording, guarantee = of(name, 4.0)
    assert passes(recording, guarantee, 600)


@pytest.mark.parametrize("name", ["flagship", "fedmf", "rotation"])
def test_a_correct_mechanism_is_seen_to_spend_what_it_may(of, name):
    # an audit that sees far less than is there would pass any mechanism
    recording, _ = of(name, 4.0)
    (found,) = [
        f for f in Canaries(canaries=4000).run(recording) if f.measure.endswith("Gaussian estimate")
    ]
    assert 3.2 < found.value < 4.5
    assert "is caught nine times in ten" in found.power


def longer_rows(factor):
    honest = clipping._scaled

    def scaled(value, scale):
        return honest(value, scale * factor if isinstance(value, Rows) else scale)

    return scaled


@pytest.mark.parametrize("name", ["flagship", "fedmf", "fedncf"])
@pytest.mark.parametrize("factor", [3.0, 1e3])
def test_rows_longer_than_the_clip_are_caught(of, name, factor, monkeypatch):
    recording, guarantee = of(name, 8.0)
    monkeypatch.setattr(clipping, "_scaled", longer_rows(factor))
    assert "FAIL" in verdicts(recording, guarantee, 600).values()


def test_rows_that_are_not_clipped_at_all_are_caught(of, monkeypatch):
    recording, guarantee = of("flagship", 8.0)

    def unclipped(value, _):
        return value.with_values((value.values.double() * 2**24).long())

    monkeypatch.setattr(clipping, "_scaled", unclipped)
    assert "FAIL" in verdicts(recording, guarantee, 600).values()


def test_a_sum_that_is_kept_beside_the_noise_is_caught(of, monkeypatch):
    recording, guarantee = of("flagship", 8.0)
    kept, noised, aggregate = {}, NoisedSums.noised, PrivateForm.aggregate

    def peeked(self, report, key):
        kept[key.round] = {name: value.float() for name, value in report.sums.items()}
        return noised(self, report, key)

    def kept_too(self, state, report):
        raw = {f"raw.{name}": value for name, value in kept[report.round].items()}
        return aggregate(self, state, report) | raw

    monkeypatch.setattr(NoisedSums, "noised", peeked)
    monkeypatch.setattr(PrivateForm, "aggregate", kept_too)
    found = Canaries(canaries=600).run(recording)
    failed = [f for f in found if judge("canaries", "?", f, guarantee).verdict == "FAIL"]
    assert [f.measure for f in failed] == ["epsilon, Gaussian estimate, worst array"]
    assert "what the server keeps as raw." in failed[0].note


def test_an_array_without_noise_beside_one_with_noise_is_caught(of, monkeypatch):
    recording, guarantee = of("fedncf", 8.0)
    honest = NoisedSums._noise

    def first_only(self, like, std, key, place):
        return honest(self, like, std, key, place) if place == 0 else torch.zeros_like(like)

    monkeypatch.setattr(NoisedSums, "_noise", first_only)
    assert verdicts(recording, guarantee, 600)["epsilon, Gaussian estimate, worst array"] == "FAIL"


def with_noise(monkeypatch, factor):
    """Noise that can be repeated, so many times too small."""
    generator = torch.Generator().manual_seed(6)

    def noise(_self, like, std, *_):
        return (torch.randn(like.shape, generator=generator) * (std / factor)).round().long()

    monkeypatch.setattr(NoisedSums, "_noise", noise)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flagship", "fedmf", "fedncf", "rotation"])
@pytest.mark.parametrize(("factor", "caught"), [(1.0, (0, 1)), (math.sqrt(2), (10,))])
def test_noise_too_small_by_the_root_of_two_is_caught_at_epsilon_one(
    of, name, factor, caught, monkeypatch
):
    recording, _ = of(name, 1.0)
    with_noise(monkeypatch, factor)
    play = Play(recording, recording.fresh_mechanism())
    levels = [noise_level(play) for _ in range(10)]
    assert sum(level.low > 1 for level in levels) in caught
    assert statistics.mean(level.ratio for level in levels) == pytest.approx(factor, rel=0.15)
    assert levels[0].caught_from < 1.2


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "caught"), [(1.0, False), (math.sqrt(2), True)])
def test_canaries_and_the_level_of_the_noise_catch_it_each_on_its_own(
    of, factor, caught, monkeypatch
):
    recording, guarantee = of("fedncf", 1.0)
    with_noise(monkeypatch, factor)
    found = verdicts(recording, guarantee, 10_000)
    failed = [measure for measure, verdict in found.items() if verdict == "FAIL"]
    assert ("epsilon, Gaussian estimate" in failed) == caught
    assert any("noise measured" in measure for measure in failed) == caught
    assert failed == [] or caught


@pytest.mark.slow
def test_noise_of_devices_is_measured_in_their_sum(of, monkeypatch):
    recording, guarantee = of("devices", 4.0)
    assert passes(recording, guarantee, 100)
    honest = NoisedSums._noise
    monkeypatch.setattr(
        NoisedSums,
        "_noise",
        lambda self, like, std, key, place: honest(self, like, std / math.sqrt(2), key, place),
    )
    level = noise_level(Play(recording, recording.fresh_mechanism()))
    assert level.low > 1.2
    assert level.numbers >= 2000


def test_one_round_without_noise_among_many_is_caught(of, monkeypatch):
    recording, _ = of("rotation", 1.0)
    honest = NoisedSums._noise

    def all_but_one(self, like, std, key, place):
        return honest(self, like, std if key.round != 3 else std / 1.5, key, place)

    monkeypatch.setattr(NoisedSums, "_noise", all_but_one)
    level = noise_level(Play(recording, recording.fresh_mechanism()))
    assert level.array == "round 3"
    assert level.low > 1.2


def test_a_few_numbers_without_noise_are_caught(of, monkeypatch):
    recording, guarantee = of("fedmf", 8.0)
    honest = NoisedSums._noise

    def one_row_bare(self, like, std, key, place):
        noise = honest(self, like, std, key, place)
        noise[:1] = 0
        return noise

    level = noise_level(Play(recording, recording.fresh_mechanism()))
    assert level.low < 1
    monkeypatch.setattr(NoisedSums, "_noise", one_row_bare)
    level = noise_level(Play(recording, recording.fresh_mechanism()))
    assert "numbers without noise" in level.array
    assert "FAIL" in verdicts(recording, guarantee, 40).values()


def test_a_release_without_any_noise_is_as_bad_as_can_be_said(of, monkeypatch):
    recording, _ = of("fedmf", 8.0)
    monkeypatch.setattr(NoisedSums, "_noise", lambda _, like, *__: torch.zeros_like(like))
    level = noise_level(Play(recording, recording.fresh_mechanism()))
    assert level.ratio == level.low == 1e6


def test_forgetting_the_square_root_of_the_rounds_is_caught_by_both(of):
    recording, _ = of("fedmf", 8.0)
    rounds = recording.experiment.federation.rounds
    # as much noise in each round as one round of a small epsilon asks for
    for factor, caught in ((1.0, True), (math.sqrt(rounds), False)):
        mechanism = Gaussian(clip=1.0, noise=factor / gaussian_mu(1.0, 1e-5))
        scores, inside = played(recording, mechanism, 4000)
        assert (gaussian_estimate(scores, inside, 1e-5)[1].low > 1.0) == caught


def played(recording, mechanism, canaries):
    object.__setattr__(mechanism, "is_private", True)
    scores, inside = Canaries(canaries=canaries).play(recording, mechanism)
    return scores[RELEASES], inside


def test_without_noise_nobody_can_hide(recorded):
    recording = recorded("fedmf")
    attack = Canaries()
    findings = attack.findings("broadcast", NoMechanism(), *attack.play(recording, NoMechanism()))
    assert findings[0].value == 1.0
    assert findings[0].bounded
    assert findings[1].value > 3.0
    assert findings[1].power.startswith("this audit could have shown")


def test_a_bound_says_what_it_could_have_shown():
    inside = torch.arange(1000) % 2 == 0
    most = one_run_epsilon(inside.double(), inside, 1e-5)
    noisy = inside + torch.randn(1000, generator=torch.Generator().manual_seed(1))
    assert one_run_epsilon(noisy, inside, 1e-5) < most < 10


def test_each_canary_is_as_long_as_the_clip_and_none_is_in_another(of):
    recording, _ = of("fedncf", 8.0)
    honest = recording.fresh_mechanism()
    quiet = tuple(replace(part, noise=1e-7) for part in honest.parts)
    play = Play(recording, NoisedSums(quiet, honest.ledger, 1, honest._draw))
    group = play.group(10_000)
    # of the clip the row cap lets .6 through, so each has numbers in three rows
    assert 2 < group < 10_000
    inside = torch.arange(group) % 2 == 0
    scores = play.scores(inside)[RELEASES]
    # two rounds, each with the weight of its noise
    length = scores * quiet[0].clip * quiet[0].noise ** 2 / 2
    assert length[inside].tolist() == pytest.approx([0.5] * int(inside.sum()), rel=0.01)
    assert float(length[~inside].abs().max()) < 1e-3
