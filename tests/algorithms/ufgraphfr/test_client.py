"""The stacked client against one client at a time, written with torch's own layers."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lonely_client import LonelyClient, Step, network_weights, train
from made_batches import made_batch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphfr import UFGraphFR
from ufgraphfr.algorithms.ufgraphfr import client as module
from ufgraphfr.core.arrays.tables import DenseTables
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.spec import parse
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.epochs import epoch_samples
from ufgraphfr.models.stacked import init_linear

ITEMS, WIDTH, DIM, SEED = 60, 5, 16, 4
BATCH = made_batch([25, 18, 9, 9, 3, 1], ITEMS, WIDTH)
SETTING = Setting(ITEMS, clients=40, text_width=WIDTH, seed=SEED)
SMALL = {
    "dim": DIM,
    "heads": 2,
    "hidden": 12,
    "dropout": 0.0,
    "batch_size": 32,
    "lr": 0.5,
    "row_scale": 4.0,
}


def made(**values: object) -> UFGraphFR:
    return parse(UFGraphFR, SMALL | values, "[algorithm]")


def first_joint_weight() -> torch.Tensor:
    """W_0, ``[dim, width]``, which the stacked client never holds."""
    generator = Key(SEED, purpose=Purpose.INIT_SCORER).generator()
    return init_linear("joint", WIDTH, DIM, generator)["joint.weight"].T


def lonely(algorithm: UFGraphFR, place: int) -> LonelyClient:
    """A client at its start, but for its item table."""
    private = algorithm.init_private(SETTING, BATCH.select(torch.tensor([place])))
    own = {name: value[0] for name, value in private.items()}
    client = LonelyClient(ITEMS, WIDTH, DIM, 12, 2, algorithm.history, scoring=algorithm.scoring)
    named = network_weights({k: v for k, v in own.items() if not k.startswith("joint")})
    named |= {"joint.weight": first_joint_weight(), "joint.bias": own["joint.bias"]}
    client.load_state_dict(named | {"items.weight": torch.zeros(ITEMS, DIM)})
    return client


def steps(algorithm: UFGraphFR, one: ClientBatch, key: Key, epoch: int) -> Iterator[Step]:
    """The same samples in the same batches, each with the state that scores it."""
    samples = epoch_samples(one, key, algorithm.negatives, epoch)
    older = max(0, len(one.items) - algorithm.history)
    # an item is scored in the state before it: after the user's token, nothing has been seen
    state = (samples.time - older).clamp(min=0)
    # without a history there is one state
    state = state.clamp(max=max(algorithm.history - 1, 0))
    columns = (state[0], samples.item[0], samples.positive[0])
    yield from zip(*(column.split(algorithm.batch_size) for column in columns), strict=True)


@pytest.mark.parametrize("history", [6, 50, 0])
@pytest.mark.parametrize("local_epochs", [1, 2])
@pytest.mark.parametrize("pull", [1.0, 0.0])
@pytest.mark.parametrize("scoring", ["both", "mlp"])
def test_stacked_clients_train_as_each_would_alone(
    history: int, local_epochs: int, pull: float, scoring: str
) -> None:
    algorithm = made(history=history, local_epochs=local_epochs, pull=pull, scoring=scoring)
    private = algorithm.init_private(SETTING, BATCH)
    clients = [lonely(algorithm, place) for place in range(len(BATCH))]
    generator = torch.Generator().manual_seed(0)
    for number in (1, 2):
        key = Key(SEED).at(number)
        start = torch.randn(len(BATCH), ITEMS, DIM, generator=generator) * 0.1
        private, change, loss = algorithm.train_client(private, DenseTables(start), BATCH, key)
        after = start + change.dense()
        for place, client in enumerate(clients):
            own = {name: value[place] for name, value in private.items()}
            one = BATCH.select(torch.tensor([place]))
            client.items.weight.data.copy_(start[place])
            batches = [
                b for epoch in range(local_epochs) for b in steps(algorithm, one, key, epoch)
            ]
            mean = train(
                client,
                one.text[0],
                one.items[max(0, len(one.items) - history) :],
                batches,
                lr=algorithm.lr,
                joint_lr=algorithm.lr * algorithm.joint_scale,
                row_lr=algorithm.lr * ITEMS * algorithm.row_scale,
                pull=pull,
            )
            trained = {name: value.detach() for name, value in client.named_parameters()}
            moved = torch.outer(own["joint.step"], one.text[0])
            expected = network_weights({k: v for k, v in own.items() if k[:5] != "joint"})
            expected |= {
                "joint.bias": own["joint.bias"],
                # the claim that lets only a step be held: the change is an outer product
                "joint.weight": first_joint_weight() + moved,
                "items.weight": after[place],
            }
            assert expected.keys() == trained.keys()
            for name, value in trained.items():
                torch.testing.assert_close(
                    expected[name], value, atol=2e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
                )
            untouched = (change.dense()[place] == 0).all(1)
            assert torch.equal(trained["items.weight"][untouched], start[place][untouched])
            if local_epochs == 1:
                assert float(loss[place]) == pytest.approx(mean, abs=1e-5)
    assert float(private["joint.step"].abs().amax(1).min()) > 5e-4


def test_the_user_is_the_joint_layers_output() -> None:
    algorithm = made()
    private = algorithm.init_private(SETTING, BATCH)
    private["joint.step"] = torch.randn(len(BATCH), DIM)
    result = algorithm.user(private, BATCH.text)
    for place in range(len(BATCH)):
        x = BATCH.text[place]
        weight = first_joint_weight() + torch.outer(private["joint.step"][place], x)
        torch.testing.assert_close(result[place], weight @ x + private["joint.bias"][place])


@pytest.mark.parametrize("history", [6, 50, 0])
def test_ranking_scores_every_item_after_the_whole_history(history: int) -> None:
    algorithm = made(history=history)
    private = algorithm.init_private(SETTING, BATCH)
    tables = torch.randn(len(BATCH), ITEMS, DIM)
    scores = algorithm.rank(private, tables, BATCH)
    for place in range(len(BATCH)):
        client = lonely(algorithm, place)
        client.items.weight.data.copy_(tables[place])
        one = BATCH.select(torch.tensor([place]))
        recent = one.items[max(0, len(one.items) - history) :]
        state = torch.full((ITEMS,), len(recent))
        expected = client(one.text[0], recent, state, torch.arange(ITEMS)).detach()
        torch.testing.assert_close(scores[place], expected, atol=1e-5, rtol=1e-4)


def test_dropout_changes_training_and_no_ranking() -> None:
    with_it, without = made(dropout=0.5), made()
    private = without.init_private(SETTING, BATCH)
    tables = DenseTables(torch.randn(len(BATCH), ITEMS, DIM))
    key = Key(SEED).at(1)
    after = [
        a.train_client(private, tables, BATCH, key)[0]["joint.step"] for a in (with_it, without)
    ]
    assert not torch.allclose(after[0], after[1])
    scores = [a.rank(private, tables.dense(), BATCH) for a in (with_it, without)]
    assert torch.equal(scores[0], scores[1])


def test_every_batch_of_every_epoch_drops_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, masks_of = [], module.dropout_masks

    def noted(key: Key, *rest: Any) -> torch.Tensor | None:
        drawn.append(key)
        return masks_of(key, *rest)

    monkeypatch.setattr(module, "dropout_masks", noted)
    algorithm = made(dropout=0.5, local_epochs=2)
    tables = DenseTables(torch.randn(len(BATCH), ITEMS, DIM))
    algorithm.train_client(algorithm.init_private(SETTING, BATCH), tables, BATCH, Key(SEED).at(1))
    batches = -(-25 * (1 + algorithm.negatives) // algorithm.batch_size)
    assert len(drawn) == len(set(drawn)) == 2 * batches


def test_heads_must_divide_the_dimension() -> None:
    with pytest.raises(InputError, match="heads = 3 must divide dim = 16"):
        made(heads=3)
