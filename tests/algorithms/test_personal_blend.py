"""Personal weights of the parts: on which items they are fitted, and what they see of them."""

import pytest
import torch

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms._personal_blend import PersonalBlend, trained
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.client_batches import ClientBatch

SMALL = {"dim": 8, "hidden": 8, "history": 20, "graph": {"rounds": 1}}


def with_one_more(shard: ClientBatch, item: int) -> ClientBatch:
    """Every user with one more item at the end."""
    places = torch.arange(len(shard))
    items = torch.cat([torch.cat((own, own.new_tensor([item]))) for own in histories(shard)])
    return shard.with_history(shard.ptr + torch.cat((places, places[-1:] + 1)), items)


def histories(shard: ClientBatch) -> list[torch.Tensor]:
    return list(shard.items.split(shard.counts.tolist()))


def test_only_items_trained_on_count(checkerboard: ClientBatch) -> None:
    even = checkerboard.select(torch.arange(0, 24, 2))
    own = trained(with_one_more(even, 1))
    assert torch.equal(own.items, even.items)
    assert torch.equal(own.ptr, even.ptr)


def test_the_transformer_says_what_it_would_have_said(
    checkerboard: ClientBatch, federation_of
) -> None:
    """Without a graph beneath, the scores before a place are those after the items before it."""
    model = UFGraphFormer(**SMALL | {"graph": False})
    federation = federation_of(model, checkerboard).run(2)
    task = model.evaluated(federation.state, checkerboard.clients, 3)
    place = torch.tensor([[4, 9]]).expand(len(checkerboard), -1)
    before = model._before(task.shared, checkerboard, place)
    for column, count in enumerate((4, 9)):
        prefix = checkerboard.until(torch.full((len(checkerboard),), count))
        expected = model.parts(task, prefix, {})
        torch.testing.assert_close(before[:, :, column], expected, atol=1e-4, rtol=1e-3)


def test_the_head_says_what_it_would_have_said(checkerboard: ClientBatch) -> None:
    head, features = UFGraphFormer().head, torch.eye(24)[:, :5]
    counts, place = torch.arange(24.0), torch.tensor([[3, 7]]).expand(len(checkerboard), -1)
    before = head.before(features, counts, checkerboard, place)
    prefix = checkerboard.until(place[:, 1])
    torch.testing.assert_close(before[:, 1], head.scores(features, counts, prefix))


def test_a_part_that_knows_the_next_item_gains_weight(checkerboard: ClientBatch) -> None:
    def before(own: ClientBatch, place: torch.Tensor) -> torch.Tensor:
        following = own.items[own.ptr[:-1, None] + place]
        knows = torch.nn.functional.one_hot(following, own.catalogue).float()
        return torch.stack((knows, torch.zeros_like(knows)))

    shared = torch.tensor([0.5, 0.5])
    weights = PersonalBlend(ridge=1.0).weights(before, shared, checkerboard)
    assert (weights[:, 0] > 0.5).all()
    torch.testing.assert_close(weights[:, 1], torch.full((24,), 0.25))


def test_a_strong_ridge_ranks_as_the_shared_weights(
    checkerboard: ClientBatch, federation_of
) -> None:
    model = UFGraphFormer(**SMALL, personal={"ridge": 1e6, "sharpness": 1.0})
    federation = federation_of(model, checkerboard).run(2)
    plain = federation_of(UFGraphFormer(**SMALL), checkerboard)
    plain.state = federation.state
    torch.testing.assert_close(federation.scores(), plain.scores(), atol=1e-3, rtol=1e-3)


def test_no_history_is_served_with_the_shared_weights(
    checkerboard: ClientBatch, federation_of
) -> None:
    model = UFGraphFormer(**SMALL, personal={"sharpness": 1.0})
    federation = federation_of(model, checkerboard).run(2)
    nobody = checkerboard.with_history(torch.zeros(25, dtype=torch.int64), checkerboard.items[:0])
    task = model.evaluated(federation.state, checkerboard.clients, 3)
    expected = torch.einsum("p,pci->ci", task.shared["blend"], model.parts(task, nobody, {}))
    torch.testing.assert_close(model.score(task, nobody, {}), expected)


def test_more_items_than_the_transformer_sees_are_refused() -> None:
    with pytest.raises(InputError, match="at most history = 20"):
        ALGORITHMS.build("ufgraphformer", SMALL | {"personal": {"last": 21}}, "[algorithm]")
