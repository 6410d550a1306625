"""Reconstruction on stacked halves against one client at a time, with autograd."""

import pytest
import torch
import torch.nn.functional as F
from made_batches import made_batch
from torch import Tensor, nn

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.capabilities import scoring_task
from ufgraphfr.algorithms.fedrecon import FedRecon, halves
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, per_client
from ufgraphfr.core.spec import parse
from ufgraphfr.data.epochs import epoch_samples

ITEMS, DIM, SEED = 60, 16, 4
BATCH = made_batch([25, 18, 9, 9, 3, 1], ITEMS)
SETTING = Setting(ITEMS, clients=40, text_width=5, seed=SEED)
KEY = Key(SEED).at(2)
SMALL = {"dim": DIM, "lr": 0.5, "row_scale": 2.0, "user_scale": 6.0, "support_steps": 4}


def made(**values: object) -> FedRecon:
    return parse(FedRecon, SMALL | values, "[algorithm]")


def rebuilt(algorithm: FedRecon, items: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """p_u after gradient steps from zero on the weighted cross-entropy."""
    user = nn.Parameter(torch.zeros(DIM))
    optimiser = torch.optim.SGD([user], lr=algorithm.lr * algorithm.user_scale)
    for _ in range(algorithm.support_steps):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(items @ user, label, weight, reduction="sum").backward()
        optimiser.step()
    return user.detach()


@pytest.mark.parametrize("query_steps", [1, 3])
def test_stacked_clients_train_as_each_would_alone(query_steps: int) -> None:
    algorithm = made(query_steps=query_steps, server_lr=2.0)
    state = {"items": 3 * algorithm.init_server(SETTING)["items"]}
    task = algorithm.broadcast(state, BATCH.clients, KEY.round)
    update, after = algorithm.local(task, BATCH, {}, KEY)
    changes = update.arrays["items"]
    assert after == {}
    assert isinstance(changes, Rows)
    samples = epoch_samples(BATCH, KEY, algorithm.negatives, 0)
    masks = [weight > 0 for weight in halves(samples, BATCH, KEY, 5)]
    for place, change in enumerate(changes.dense()):
        (s_item, s_label), (q_item, q_label) = (
            (samples.item[place][mask[place]], samples.positive[place][mask[place]])
            for mask in masks
        )
        even = torch.full((len(s_item),), 1 / len(s_item))
        user = rebuilt(algorithm, state["items"][s_item], s_label, even)
        items, entropy = nn.Parameter(state["items"].clone()), torch.zeros(())
        optimiser = torch.optim.SGD([items], lr=algorithm.lr * ITEMS * algorithm.row_scale)
        # who has but one interaction has no query
        for _ in range(query_steps if len(q_item) else 0):
            optimiser.zero_grad()
            entropy = F.binary_cross_entropy_with_logits(items[q_item] @ user, q_label)
            entropy.backward()
            optimiser.step()
        torch.testing.assert_close(change, items.data - state["items"], atol=2e-5, rtol=1e-4)
        assert float(update.loss[place]) == pytest.approx(entropy.item(), abs=1e-5)
    own_arrays = per_client(update.arrays)
    report = Report(
        KEY.round, BATCH.clients, own_arrays, Aggregation.PER_CLIENT, update.loss
    ).total()
    expected = state["items"] + 2 * changes.dense().mean(0)
    torch.testing.assert_close(algorithm.aggregate(state, report)["items"], expected)


def test_the_halves_are_fresh_and_keep_an_interaction_with_its_negatives() -> None:
    samples = epoch_samples(BATCH, KEY, 4, 0)
    support, query = halves(samples, BATCH, KEY, 5)
    for place, count in enumerate(BATCH.counts.tolist()):
        own = samples.item[place] >= 0
        time = samples.time[place]
        ours = set(time[(support[place] > 0)].tolist())
        theirs = set(time[(query[place] > 0)].tolist())
        assert len(ours) == (count + 1) // 2
        assert ours | theirs == set(range(count))
        assert not ours & theirs
        assert torch.equal((support[place] > 0) | (query[place] > 0), own)
    torch.testing.assert_close(support.sum(1), torch.ones(len(BATCH)))
    torch.testing.assert_close(query.sum(1), torch.tensor([1.0] * 5 + [0.0]))
    first = [halves(samples, BATCH, KEY.at(n), 5)[0][0] > 0 for n in range(200)]
    share = torch.stack(first)[:, samples.item[0] >= 0].float().mean(0)
    assert float((share - 13 / 25).abs().max()) < 0.15


def test_ranking_rebuilds_the_user_from_the_whole_history() -> None:
    algorithm = made()
    state = {"items": 3 * algorithm.init_server(SETTING)["items"]}
    task = scoring_task(algorithm, state, BATCH.clients, 3)
    scores = algorithm.score(task, BATCH, {})
    for place in range(len(BATCH)):
        liked = BATCH.items[BATCH.ptr[place] : BATCH.ptr[place + 1]]
        label = torch.zeros(ITEMS)
        label[liked] = 1
        # the expected weight of an item among the samples of an epoch
        weight = torch.full((ITEMS,), 4 / 5 / (ITEMS - len(liked)))
        weight[liked] = 1 / 5 / len(liked)
        user = rebuilt(algorithm, state["items"], label, weight)
        torch.testing.assert_close(scores[place], state["items"] @ user, atol=1e-5, rtol=1e-4)


def test_ranking_does_not_read_who_was_barred() -> None:
    """Held-out items may be among them."""
    algorithm = made()
    task = scoring_task(algorithm, algorithm.init_server(SETTING), BATCH.clients, 3)
    less = made_batch([25, 18, 9, 9, 3, 1], ITEMS)
    less.excluded.zero_()
    assert torch.equal(algorithm.score(task, BATCH, {}), algorithm.score(task, less, {}))


def test_nothing_stays_home() -> None:
    assert made().init_private(SETTING, BATCH) == {}
