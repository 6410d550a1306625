"""Cohorts: their sizes, and that a seed and a round decide them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.spec import parse
from ufgraphfr.federation.cohort import FederationSpec, answering, draw_cohort

CLIENTS = torch.arange(0, 400, 2)
KEY = Key(5)
GOLDEN = {"fixed": [1, 5, 6, 10], "poisson": [6, 10]}
"""Four of twelve clients: seed 0, round 1."""


def spec(cohort: float, sampling: str = "fixed") -> FederationSpec:
    return parse(FederationSpec, {"cohort": cohort, "sampling": sampling}, "[federation]")


@pytest.mark.parametrize(
    ("cohort", "size"),
    [(1.0, 200), (0.5, 100), (0.013, 3), (1e-9, 1), (2, 2), (64, 64), (200, 200), (10_000, 200)],
)
def test_a_share_up_to_one_and_a_number_above(cohort: float, size: int) -> None:
    for number in range(1, 6):
        drawn = draw_cohort(spec(cohort), CLIENTS, KEY.at(number))
        assert len(drawn) == size


def test_one_is_one_client_and_one_point_zero_everybody() -> None:
    one, everybody = spec(1), spec(1.0)
    assert (one.expected(200), everybody.expected(200)) == (1, 200)
    assert len(draw_cohort(one, CLIENTS, KEY.at(1))) == 1
    assert spec(one.model_dump(exclude_defaults=True)["cohort"]).expected(200) == 1
    assert "cohort" not in everybody.model_dump(exclude_defaults=True)
    # a count is written as before, so what was agreed on keeps its digest
    assert repr(spec(64).model_dump()["cohort"]) == "64.0"


def test_more_clients_than_there_are_is_an_error_that_says_so() -> None:
    spec(60).check(60)
    spec(1).check(60)
    spec(1.0).check(60)
    with pytest.raises(InputError, match="cohort = 61 asks for more clients than the 60 that"):
        spec(61).check(60)


def test_an_empty_poisson_cohort_is_refused() -> None:
    spec(0.9 / 60, "poisson").check(60)
    spec(0.001).check(60)
    with pytest.raises(InputError, match="would leave most rounds empty"):
        spec(0.001, "poisson").check(60)


@given(
    clients=st.lists(st.integers(0, 2**31), min_size=1, max_size=20, unique=True),
    cohort=st.one_of(st.floats(0.001, 1), st.integers(2, 30)),
    sampling=st.sampled_from(["fixed", "poisson"]),
    number=st.integers(1, 1000),
)
def test_a_cohort_is_some_of_the_clients_ascending(
    clients: list[int], cohort: float, sampling: str, number: int
) -> None:
    who = torch.tensor(sorted(clients))
    drawn = draw_cohort(spec(cohort, sampling), who, KEY.at(number)).tolist()
    assert drawn == sorted(set(drawn))
    assert set(drawn) <= set(clients)


@pytest.mark.parametrize("cohort", [0.3, 60])
def test_poisson_cohorts_have_the_expected_size_on_average(cohort: float) -> None:
    rounds = 1000
    chosen = spec(cohort, "poisson")
    assert chosen.expected(200) == pytest.approx(60)
    sizes = torch.tensor(
        [len(draw_cohort(chosen, CLIENTS, KEY.at(number))) for number in range(rounds)]
    ).double()
    # binomial(200, .3): four standard errors of the mean, and a spread within a tenth
    assert float(sizes.mean()) == pytest.approx(60, abs=4 * (42 / rounds) ** 0.5)
    assert float(sizes.var()) == pytest.approx(42, rel=0.2)


def test_everybody_takes_part_in_a_full_poisson_cohort_and_nobody_in_some_small_ones() -> None:
    everybody = draw_cohort(spec(1.0, "poisson"), CLIENTS, KEY)
    assert torch.equal(everybody, CLIENTS)
    small = spec(0.005, "poisson")
    sizes = [len(draw_cohort(small, CLIENTS, KEY.at(number))) for number in range(20)]
    assert 0 in sizes
    assert max(sizes) > 0


@pytest.mark.parametrize("sampling", ["fixed", "poisson"])
def test_every_client_is_drawn_equally_often(sampling: str) -> None:
    rounds, times = 600, torch.zeros(400)
    for number in range(rounds):
        times[draw_cohort(spec(0.25, sampling), CLIENTS, KEY.at(number))] += 1
    assert (times[1::2] == 0).all()
    # five standard errors for each of 200 clients
    assert (times[::2] / rounds - 0.25).abs().max() < 5 * (0.25 * 0.75 / rounds) ** 0.5


def test_seed_and_round_decide_the_cohort_in_any_process() -> None:
    who = torch.arange(12)
    assert draw_cohort(spec(4), who, Key(0).at(1)).tolist() == GOLDEN["fixed"]
    assert draw_cohort(spec(4, "poisson"), who, Key(0).at(1)).tolist() == GOLDEN["poisson"]
    others = [Key(0).at(2), Key(1).at(1)]
    assert all(draw_cohort(spec(4), who, key).tolist() != GOLDEN["fixed"] for key in others)


def test_a_clients_coin_depends_on_nobody_else() -> None:
    some = CLIENTS[::3]
    of_all = draw_cohort(spec(0.4, "poisson"), CLIENTS, KEY)
    of_some = draw_cohort(spec(0.4, "poisson"), some, KEY)
    assert of_some.tolist() == sorted(set(of_all.tolist()) & set(some.tolist()))


@pytest.mark.parametrize(
    ("cohort", "rule"),
    [(2.5, "above 1 is a number of clients and must be whole"), (0, "greater than 0")],
)
def test_a_size_that_means_nothing_is_refused(cohort: float, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        spec(cohort)


@given(
    clients=st.integers(1, 60),
    cohort=st.one_of(st.floats(0.01, 1), st.integers(2, 70)),
    first=st.integers(1, 30),
    more=st.integers(0, 30),
)
def test_a_rotation_asks_nobody_more_often_than_it_says(
    clients: int, cohort: float, first: int, more: int
) -> None:
    chosen = spec(cohort, "rotation")
    times = torch.zeros(clients)
    for number in range(first, first + more + 1):
        drawn = draw_cohort(chosen, torch.arange(clients), KEY.at(number))
        assert len(drawn) >= 1
        assert torch.equal(drawn, drawn.unique())
        times[drawn] += 1
    assert int(times.max()) <= chosen.participations(first, first + more, clients)


def test_a_rotation_asks_everybody_once_a_lap_in_another_order() -> None:
    chosen = spec(0.25, "rotation")
    assert chosen.turns(200) == 4
    laps = [
        [draw_cohort(chosen, CLIENTS, KEY.at(4 * lap + n)) for n in range(1, 5)] for lap in (0, 1)
    ]
    for lap in laps:
        assert torch.equal(torch.cat(lap).sort().values, CLIENTS)
    assert not torch.equal(laps[0][0], laps[1][0])
    assert spec(0.25).participations(1, 8, 200) == 8
    assert chosen.participations(1, 8, 200) == 2
    assert chosen.participations(4, 5, 200) == 2


def test_coins_that_a_guarantee_rests_on_depend_on_no_seed() -> None:
    chosen = spec(0.5, "poisson")
    drawn = [draw_cohort(chosen, CLIENTS, KEY, secret=True) for _ in range(2)]
    assert not torch.equal(*drawn)
    sizes = [len(draw_cohort(chosen, CLIENTS, KEY, secret=True)) for _ in range(300)]
    assert sum(sizes) / 300 == pytest.approx(100, abs=5 * (50 / 300) ** 0.5)


@given(dropouts=st.sampled_from([0.05, 0.1, 0.3, 0.9]), number=st.integers(1, 50))
@settings(max_examples=20)
def test_the_share_that_is_named_does_not_answer(dropouts: float, number: int) -> None:
    cohort = torch.arange(3, 20_003)
    answers = answering(FederationSpec(dropouts=dropouts), cohort, Key(1).at(number))
    silent = 1 - len(answers) / len(cohort)
    # five standard errors
    assert abs(silent - dropouts) < 5 * (dropouts * (1 - dropouts) / len(cohort)) ** 0.5
    assert bool(torch.isin(answers, cohort).all())
    assert bool((answers.diff() > 0).all())


def test_who_is_silent_is_drawn_anew_and_for_each_client_alone() -> None:
    spec, cohort = FederationSpec(dropouts=0.5), torch.arange(100)
    first, second = (answering(spec, cohort, Key(1).at(number)) for number in (1, 2))
    assert first.tolist() != second.tolist()
    some = cohort[::3]
    assert torch.equal(answering(spec, some, Key(1).at(1)), some[torch.isin(some, first)])


def test_without_dropouts_everybody_answers() -> None:
    cohort = torch.arange(50)
    assert torch.equal(answering(FederationSpec(), cohort, Key(1).at(1)), cohort)


def test_a_few_of_many_are_drawn_evenly_and_without_a_number_for_everybody() -> None:
    """Everybody as often as anybody: the counts of 400 rounds are those of fair draws."""
    many = 2**17
    clients, drawn = torch.arange(many) * 3, []
    for number in range(1, 401):
        cohort = draw_cohort(spec(2000), clients, KEY.at(number))
        assert len(cohort) == 2000
        assert bool((cohort.diff() > 0).all())
        assert bool((cohort % 3 == 0).all())
        drawn.append(cohort // 3)
    counts = torch.bincount(torch.cat(drawn) // 2**10, minlength=2**7).double()
    expected = 400 * 2000 / 2**7
    assert float(((counts - expected) ** 2 / expected).sum()) < 2**7 + 5 * (2 * 2**7) ** 0.5
    assert torch.equal(drawn[0], draw_cohort(spec(2000), clients, KEY.at(1)) // 3)
    assert not torch.equal(drawn[0], drawn[1])


def test_a_quarter_of_many_is_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ufgraphfr.federation.cohort.MANY", 8)
    clients = torch.arange(8)
    seen = {tuple(draw_cohort(spec(2), clients, KEY.at(n)).tolist()) for n in range(1, 400)}
    assert seen == {(a, b) for a in range(8) for b in range(a + 1, 8)}
