"""The input, the candidates, and a ranking by chunks, under both splits."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.split import HeldOut, Split, global_time
from ufgraphfr.evaluation.protocol import Score, evaluate, inputs, scored

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
    outcome = evaluate(scored(hashed, given), split, part)
    targets = split.validation if part == "validation" else split.test
    rivals = split.sampled_validation if part == "validation" else split.sampled_test
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
    outcome = evaluate(scored(on_target(split, part, 1.0), inputs(batch, split, part)), split, part)
    assert set(outcome.metrics) == {"full", "sampled99"}
    for ranking in outcome.metrics.values():
        for name, value in ranking.items():
            assert value == 1.0 or name == "coverage@10"


@pytest.mark.parametrize("part", PARTS)
def test_a_nan_target_is_last(batch: ClientBatch, split: Split, part: HeldOut) -> None:
    given = inputs(batch, split, part)
    outcome = evaluate(scored(on_target(split, part, torch.nan), given), split, part)
    assert (outcome.sampled == 100).all()
    assert outcome.full.tolist() == (split.n_items - given.counts).tolist()


def test_a_constant_model_sits_in_the_middle(batch: ClientBatch, split: Split) -> None:
    given = inputs(batch, split, "test")
    outcome = evaluate(
        scored(lambda part: torch.zeros(len(part), split.n_items), given), split, "test"
    )
    assert (outcome.sampled == 50.5).all()
    assert outcome.metrics["sampled99"]["hr@20"] == 0


def test_the_validation_item_is_a_rival_only_of_the_validation(
    batch: ClientBatch, split: Split
) -> None:
    """Ranked above everything, it costs the test nothing; the test item costs the validation."""
    above = on_target(split, "validation", 2.0)
    outcome = evaluate(scored(above, inputs(batch, split, "test")), split, "test")
    # all other candidates tie with the test item
    candidates = split.n_items - inputs(batch, split, "test").counts
    assert outcome.full.tolist() == (1 + (candidates - 1) / 2).tolist()
    above = on_target(split, "test", 2.0)
    outcome = evaluate(scored(above, inputs(batch, split, "validation")), split, "validation")
    candidates = split.n_items - inputs(batch, split, "validation").counts
    assert outcome.full.tolist() == (2 + (candidates - 2) / 2).tolist()


def test_neither_chunks_nor_their_order_matter(batch: ClientBatch, split: Split) -> None:
    given = inputs(batch, split, "test")
    whole = evaluate(scored(hashed, given, chunk=len(given)), split, "test")
    backwards = given.select(torch.arange(len(given)).flip(0))
    for chunks in (scored(hashed, given, 1), scored(hashed, backwards, 7)):
        other = evaluate(chunks, split, "test")
        assert np.array_equal(whole.full, other.full)
        assert np.array_equal(whole.sampled, other.sampled)
        assert np.array_equal(whole.users, other.users)
        assert whole.coverage == other.coverage


def test_scores_are_not_kept(batch: ClientBatch, split: Split) -> None:
    given = inputs(batch, split, "test")
    alive: list[weakref.ref[Tensor]] = []

    def watched() -> Iterator[tuple[Tensor, Tensor]]:
        for clients, scores in scored(hashed, given, 4):
            # the consumer may still hold the chunk before this one
            assert all(reference() is None for reference in alive[:-1])
            alive.append(weakref.ref(scores))
            yield clients, scores
            del scores

    evaluate(watched(), split, "test")
    assert len(alive) == 10


def test_everybody_is_scored_exactly_once(batch: ClientBatch, split: Split) -> None:
    given = inputs(batch, split, "test")
    chunks = list(scored(hashed, given, 8))
    for wrong in (chunks[1:], [*chunks, chunks[0]]):
        with pytest.raises(ValueError, match="exactly once"):
            evaluate(wrong, split, "test")


def test_cold_users_are_not_asked(batch: ClientBatch, split: Split) -> None:
    assert len(split.cold_users) == 10
    with pytest.raises(ValueError, match="only users with a target"):
        evaluate([(batch.clients, hashed(batch))], split, "test")


def test_scores_of_another_shape_are_refused(batch: ClientBatch, split: Split) -> None:
    given = inputs(batch, split, "test")
    with pytest.raises(ValueError, match=r"shape \(40, 199\) for 40 clients and 200 items"):
        evaluate([(given.clients, hashed(given)[:, 1:])], split, "test")


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
    outcome = evaluate(scored(hashed, given, chunk=7), dates, part)
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
