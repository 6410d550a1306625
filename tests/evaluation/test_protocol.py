"""The input, the candidates, and a ranking by chunks, under both splits."""

import weakref

import numpy as np
import pytest
import torch
from torch import Tensor

from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.global_time import global_time
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.split import HeldOut, Split
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.protocol import (
    FEWEST,
    LONG,
    MOST_BYTES,
    EvaluationSet,
    Score,
    at_most,
    inputs,
    of_like_length,
)

PARTS: tuple[HeldOut, ...] = ("validation", "test")


def seen_by(split: Split, user: int, part: HeldOut) -> list[int]:
    """The user's training items, and the validation item when the test is asked."""
    train: list[int] = split.train[split.ptr[user] : split.ptr[user + 1]].tolist()
    return train if part == "validation" else [*train, int(split.validation[user])]


def hashed(clients: ClientBatch) -> Tensor:
    """Scores that look random, the same for a client in any chunk."""
    grid = clients.clients[:, None] * 7919 + torch.arange(clients.n_items) * 104729
    return (grid % 8675309 % 1009).float()


def on_target(split: Split, part: HeldOut, value: float) -> Score:
    targets = torch.from_numpy(split.validation if part == "validation" else split.test)

    def score(clients: ClientBatch) -> Tensor:
        scores = torch.zeros(len(clients), clients.n_items)
        return scores.scatter_(1, targets[clients.clients][:, None], value)

    return score


@pytest.mark.parametrize("part", PARTS)
def test_input_is_all_that_may_be_known(batch: ClientBatch, split: Split, part: HeldOut) -> None:
    given = inputs(batch, split, part)
    assert given.clients.tolist() == split.warm.tolist()
    for place, user in enumerate(split.warm):
        own = given.items[given.ptr[place] : given.ptr[place + 1]].tolist()
        assert own == seen_by(split, user, part)
        assert given.text[place].item() == user


@pytest.mark.parametrize("part", PARTS)
def test_ranks_are_those_of_a_loop_over_users(
    batch: ClientBatch, split: Split, part: HeldOut
) -> None:
    given = inputs(batch, split, part)
    scores = hashed(given).numpy()
    outcome = evaluate(hashed, EvaluationSet.of(batch, split, part))
    targets = split.validation if part == "validation" else split.test
    rivals = split.sampled[part]
    listed = set()
    for place, user in enumerate(split.warm):
        target = targets[user]
        others = np.setdiff1d(np.arange(split.n_items), [*seen_by(split, user, part), target])
        for ranks, candidates in ((outcome.full, others), (outcome.sampled, rivals[user])):
            rank = 1 + (scores[place, candidates] > scores[place, target]).sum()
            rank = rank + (scores[place, candidates] == scores[place, target]).sum() / 2
            assert ranks[place] == rank
        allowed = np.append(others, target)
        listed.update(allowed[np.argsort(-scores[place, allowed], kind="stable")[:10]].tolist())
    # ties at the tenth place may list another item
    assert outcome.coverage == pytest.approx(len(listed) / split.n_items, abs=0.02)


@pytest.mark.parametrize("part", PARTS)
def test_a_model_that_knows_the_answer_is_perfect(
    batch: ClientBatch, split: Split, part: HeldOut
) -> None:
    outcome = evaluate(on_target(split, part, 1.0), EvaluationSet.of(batch, split, part))
    assert set(outcome.metrics) == {"full", "sampled99"}
    for ranking in outcome.metrics.values():
        for name, value in ranking.items():
            assert value == 1.0 or name == "coverage@10"


@pytest.mark.parametrize("part", PARTS)
def test_a_nan_target_is_last(batch: ClientBatch, split: Split, part: HeldOut) -> None:
    asked = EvaluationSet.of(batch, split, part)
    outcome = evaluate(on_target(split, part, torch.nan), asked)
    assert (outcome.sampled == 100).all()
    assert outcome.full.tolist() == (split.n_items - asked.clients.counts).tolist()


def test_a_constant_model_sits_in_the_middle(batch: ClientBatch, split: Split) -> None:
    asked = EvaluationSet.of(batch, split, "test")
    outcome = evaluate(lambda part: torch.zeros(len(part), split.n_items), asked)
    assert (outcome.sampled == 50.5).all()
    assert outcome.metrics["sampled99"]["hr@20"] == 0


def test_the_validation_item_is_a_rival_only_of_the_validation(
    batch: ClientBatch, split: Split
) -> None:
    """Ranked above everything, it costs the test nothing; the test item costs the validation."""
    above = on_target(split, "validation", 2.0)
    outcome = evaluate(above, EvaluationSet.of(batch, split, "test"))
    # all other candidates tie with the test item
    candidates = split.n_items - inputs(batch, split, "test").counts
    assert outcome.full.tolist() == (1 + (candidates - 1) / 2).tolist()
    above = on_target(split, "test", 2.0)
    outcome = evaluate(above, EvaluationSet.of(batch, split, "validation"))
    candidates = split.n_items - inputs(batch, split, "validation").counts
    assert outcome.full.tolist() == (2 + (candidates - 2) / 2).tolist()


def test_neither_chunks_nor_their_order_matter(batch: ClientBatch, split: Split) -> None:
    asked = EvaluationSet.of(batch, split, "test")
    order = torch.arange(len(asked.clients)).flip(0)
    backwards = EvaluationSet(
        asked.clients.select(order), asked.targets[order], asked.rivals[order]
    )
    whole = evaluate(hashed, asked, chunk=len(order))
    for other, places in (
        (evaluate(hashed, asked, 1), order.flip(0)),
        (evaluate(hashed, backwards, 7), order),
    ):
        assert np.array_equal(whole.full, other.full[places])
        assert np.array_equal(whole.sampled, other.sampled[places])
        assert np.array_equal(whole.users, other.users[places])
        assert whole.coverage == other.coverage


def test_scores_are_not_kept_and_nobody_is_scored_twice(batch: ClientBatch, split: Split) -> None:
    alive: list[weakref.ref[Tensor]] = []
    told: list[int] = []

    def watched(clients: ClientBatch) -> Tensor:
        # the consumer may still hold the chunk before this one
        assert all(reference() is None for reference in alive[:-1])
        scores = hashed(clients)
        alive.append(weakref.ref(scores))
        told.extend(clients.clients.tolist())
        return scores

    evaluate(watched, EvaluationSet.of(batch, split, "test"), 4)
    assert len(alive) == 10
    assert sorted(told) == split.warm.tolist()


def test_cold_users_are_not_asked(batch: ClientBatch, split: Split) -> None:
    assert len(split.cold_users) == 10
    asked = EvaluationSet.of(batch, split, "test").clients.clients
    assert not np.isin(split.cold_users, asked.numpy()).any()


def test_scores_of_another_shape_are_refused(batch: ClientBatch, split: Split) -> None:
    with pytest.raises(ValueError, match=r"shape \(40, 199\) for 40 clients and 200 items"):
        evaluate(lambda own: hashed(own)[:, 1:], EvaluationSet.of(batch, split, "test"))


@pytest.fixture(scope="module")
def dates() -> Split:
    """60 users with 5 to 20 of 150 items each, at times all over; many are asked only once."""
    rng = np.random.default_rng(2)
    counts = rng.integers(5, 21, 60)
    begin = np.repeat(rng.integers(0, 800, 60), counts)
    data = Interactions(
        user=np.repeat(np.arange(60), counts),
        item=np.concatenate([rng.permutation(150)[:count] for count in counts]),
        timestamp=begin + rng.integers(0, 400, counts.sum()),
        n_users=60,
        n_items=150,
    )
    return global_time(data, 0.5, 0.7)


@pytest.mark.parametrize("part", PARTS)
def test_global_time_asks_who_has_a_target_and_gives_all_that_came_before(
    dates: Split, part: HeldOut
) -> None:
    everybody = build(dates, torch.arange(60.0)[:, None])
    given = inputs(everybody, dates, part)
    targets = dates.validation if part == "validation" else dates.test
    assert given.clients.tolist() == np.flatnonzero(targets >= 0).tolist()
    assert 5 < len(given) < 55
    scores = hashed(given).numpy()
    outcome = evaluate(hashed, EvaluationSet.of(everybody, dates, part), chunk=7)
    assert np.array_equal(outcome.users, given.clients.numpy())
    longer = 0
    for place, user in enumerate(given.clients.tolist()):
        own = given.items[given.ptr[place] : given.ptr[place + 1]].tolist()
        history = dates.history[dates.history_ptr[user] : dates.history_ptr[user + 1]].tolist()
        assert own == history[: history.index(targets[user])]
        assert (
            own[: dates.ptr[user + 1] - dates.ptr[user]]
            == everybody.items[everybody.ptr[user] : everybody.ptr[user + 1]].tolist()
        )
        longer += len(own) > dates.ptr[user + 1] - dates.ptr[user]
        others = np.setdiff1d(np.arange(150), [*own, targets[user]])
        above = (scores[place, others] > scores[place, targets[user]]).sum()
        level = (scores[place, others] == scores[place, targets[user]]).sum()
        assert outcome.full[place] == 1 + above + level / 2
    assert (longer > 5) == (part == "test"), "the test knows more than was trained on"


def test_users_with_fewer_rivals_have_no_second_rank(batch: ClientBatch, split: Split) -> None:
    asked = EvaluationSet.of(batch, split, "test")
    rivals = asked.rivals.clone()
    rivals[::2, -1] = -1
    fewer = evaluate(hashed, EvaluationSet(asked.clients, asked.targets, rivals))
    whole = evaluate(hashed, asked)
    assert np.isnan(fewer.sampled[::2]).all()
    assert np.array_equal(fewer.sampled[1::2], whole.sampled[1::2])
    assert fewer.metrics["full"] == whole.metrics["full"]
    assert fewer.metrics["sampled99"]["mrr"] == pytest.approx((1 / whole.sampled[1::2]).mean())
    nobody = EvaluationSet(asked.clients, asked.targets, torch.full_like(rivals, -1))
    assert evaluate(hashed, nobody).metrics["sampled99"] == {}


def test_few_users_are_ranked_together_where_items_are_many_and_never_fewer_than_some() -> None:
    assert at_most(256, 500) == 256
    assert at_most(256, 4_000) == MOST_BYTES // 16_000
    assert at_most(256, 10**6) == FEWEST
    assert at_most(3, 10**6) == 3


def test_short_histories_meet_others_as_short_and_long_ones_whoever_comes() -> None:
    counts = torch.tensor([LONG + 9, 3, LONG, 1, 3, LONG + 2, 7])
    ptr = torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0)))
    users = torch.arange(len(counts))
    items = torch.zeros(int(ptr[-1]), dtype=torch.int64)
    batch = ClientBatch(users, ptr, items, ptr, items, torch.zeros(len(users), 0), 1)
    assert of_like_length(batch, users).tolist() == [3, 1, 4, 6, 0, 2, 5]
    assert of_like_length(batch, users[3:]).tolist() == [3, 4, 6, 5]


def test_users_are_ranked_beside_those_with_histories_of_like_length(
    batch: ClientBatch, split: Split
) -> None:
    seen = list[Tensor]()

    def score(clients: ClientBatch) -> Tensor:
        seen.append(clients.counts)
        return hashed(clients)

    asked = EvaluationSet.of(batch, split, "test")
    evaluate(score, asked, chunk=5)
    assert torch.equal(torch.cat(seen), asked.clients.counts.sort().values)
    assert len(seen) > 1
