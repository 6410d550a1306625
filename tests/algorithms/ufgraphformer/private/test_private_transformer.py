"""The Transformer under a budget: what is trained, what is not, and that it learns."""

import pytest
import torch
from made_batches import made_batch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer.private import transformer
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.algorithms.ufgraphformer.private.model import PrivateForm
from ufgraphfr.algorithms.ufgraphformer.private.plan import Plan
from ufgraphfr.algorithms.ufgraphformer.private.transformer import PrivateTransformer
from ufgraphfr.algorithms.ufgraphformer.sequence.local_training import SequenceTraining
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State
from ufgraphfr.models.next_item import cross_entropy

ITEMS = 30
BATCH = made_batch([26, 17, 9, 3, 1], ITEMS)
SETTING = Setting(ITEMS, len(BATCH), BATCH.text.shape[1], 0)
PLAIN = PrivateTransformer(dim=8, hidden=12, history=12)
WHOLE = PLAIN.model_copy(update={"items": True})


def begun(own: PrivateTransformer) -> State:
    generator = torch.Generator().manual_seed(1)
    state = own.initial(SETTING) | {
        "columns": torch.rand(ITEMS, 3, generator=generator),
        "kept": torch.arange(10),
        "next": torch.rand(10, 10, generator=generator),
    }
    return own.informed(state, torch.linspace(0, 3, ITEMS))


def test_heads_must_divide_the_dimension() -> None:
    with pytest.raises(ValueError, match="multiple of 2"):
        PrivateTransformer(dim=33)


@pytest.mark.parametrize("own", [PLAIN, WHOLE])
def test_a_clients_update_is_the_gradient_of_its_mean_loss(
    own: PrivateTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = SequenceTraining(dropout=0, window="recent", weighting="clients")
    monkeypatch.setattr(transformer, "TRAINING", training)
    state = begun(own)
    found = own.gradients(own.shared(state, "net"), BATCH, Key(0, 3))
    assert found.shape == (len(BATCH), own.trained(SETTING))
    network = own.network(ITEMS, BATCH.text.shape[1])
    fixed = {name: state[f"fixed.{name}"] for name in own.fixed}
    nothing = torch.zeros(ITEMS, dtype=torch.bool)
    for place in range(len(BATCH)):
        weights = state["net"].clone().requires_grad_()
        recent = BATCH.last(13)[0][place]
        recent = recent[recent >= 0]
        losses = cross_entropy(
            network,
            network.named(weights, fixed),
            recent,
            BATCH.text[place],
            None,
            nothing,
        )
        (expected,) = torch.autograd.grad(losses.mean(), weights)
        torch.testing.assert_close(found[place], expected, atol=1e-6, rtol=1e-4)


def test_what_is_public_or_released_is_not_trained() -> None:
    state = begun(PLAIN)
    after = PLAIN.adam.stepped(state, torch.ones(PLAIN.trained(SETTING)))
    assert not torch.equal(after["net"], state["net"])
    assert all(torch.equal(after[n], state[n]) for n in state if n.startswith("fixed."))
    network = PLAIN.network(ITEMS, BATCH.text.shape[1])
    assert network.size - PLAIN.trained(SETTING) == ITEMS * 9 + BATCH.text.shape[1] * 8


@pytest.mark.parametrize("own", [PLAIN, WHOLE])
def test_before_training_popularity_ranks(own: PrivateTransformer) -> None:
    state = begun(own)
    scores = own.scores(own.shared(state, "net.mean"), BATCH)
    assert bool((scores.corrcoef()[0] > 0.9).all())
    ranks = torch.stack((scores[0], torch.arange(ITEMS).float())).corrcoef()
    assert float(ranks[0, 1]) > 0.9


def test_items_that_follow_each_other_begin_near_each_other() -> None:
    linked = torch.zeros(10, 10)
    linked[:5, :5] = linked[5:, 5:] = 1
    state = begun(PLAIN) | {"next": linked, "columns": torch.zeros(ITEMS, 0)}
    vectors = PLAIN.informed(state, torch.zeros(ITEMS))["fixed.item.weight"][:10]
    cosines = torch.nn.functional.normalize(vectors, dim=1)
    near = (cosines @ cosines.T)[linked.bool() & ~torch.eye(10, dtype=torch.bool)]
    assert float(near.mean()) > 0.2


def test_more_clients_are_wanted_for_more_rounds_and_weights() -> None:
    least = PLAIN.least_signal(SETTING)
    more = PLAIN.model_copy(update={"rounds": 4 * PLAIN.rounds})
    assert more.least_signal(SETTING) == pytest.approx(2 * least)
    assert WHOLE.least_signal(SETTING) > least


def test_it_learns_what_its_user_likes(checkerboard, federation_of) -> None:
    own = PrivateTransformer(
        rounds=60, dim=16, hidden=16, history=24, lr=0.01, items=True, weight=1
    )
    form = PrivateForm(spec=PrivateSpec(head=False), plan=Plan(transformer=own))
    scores = federation_of(form, checkerboard).run(61).scores()
    same = (torch.arange(24)[:, None] + torch.arange(24)) % 2 == 0
    assert float(scores[same].mean()) > float(scores[~same].mean()) + 0.5
