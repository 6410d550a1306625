"""Attention and perturbation against slow loops; what the matching server learns and hands out."""

import pytest
import torch
from made_batches import made_batch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.fedpergnn import FedPerGNN
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, Report, State, per_client
from ufgraphfr.core.spec import parse
from ufgraphfr.models.graph_attention import SLOPE, attend
from ufgraphfr.ops.pseudo_gradients import clipped_with_laplace, with_pseudo

ITEMS, DIM, SEED = 40, 6, 4
BATCH = made_batch([12, 9, 5, 2], ITEMS)
SETTING = Setting(ITEMS, clients=40, text_width=5, seed=SEED)
KEY = Key(SEED).at(2)
PLAIN = {"dim": DIM, "laplace": 0.0, "pseudo_items": 0, "expansion": 1, "neighbors": 2}


def made(**values: object) -> FedPerGNN:
    return parse(FedPerGNN, PLAIN | values, "[algorithm]")


def alone(network: dict[str, Tensor], user: Tensor, others: list[Tensor]) -> Tensor:
    """One user's hidden vector, node by node."""
    nodes = [vector @ network["transform"] for vector in [user, *others]]
    first, second = network["attention"]
    logits = torch.stack([first @ nodes[0] + second @ node for node in nodes])
    shares = torch.where(logits > 0, logits, SLOPE * logits).softmax(0)
    return (shares[:, None] * torch.stack(nodes)).sum(0)


def test_a_user_attends_to_the_subgraph_without_what_it_predicts() -> None:
    draw = torch.Generator().manual_seed(1)
    network = {
        "transform": torch.randn(2, DIM, DIM, generator=draw),
        "attention": torch.randn(2, 2, DIM, generator=draw),
    }
    user, items = torch.randn(2, DIM, generator=draw), torch.randn(2, 3, DIM, generator=draw)
    inside = torch.tensor([[True, True, True], [True, True, False]])
    neighbors = torch.randn(2, 2, DIM + 1, generator=draw)
    neighbors[..., -1] = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    left_out = torch.tensor([[-1, 0, 2], [1, -1, 0]])
    found = attend(network, user, items, inside, neighbors, left_out)
    for client in range(2):
        own = {name: value[client] for name, value in network.items()}
        near = [row[:-1] for row in neighbors[client] if row[-1] > 0]
        for place, without in enumerate(left_out[client].tolist()):
            kept = [items[client, i] for i in range(3) if inside[client, i] and i != without]
            expected = alone(own, user[client], near + kept)
            torch.testing.assert_close(found[client, place], expected, atol=1e-5, rtol=1e-4)


def gradients() -> tuple[Rows, Tensor, Tensor]:
    """Gradients of two clients: 300 and 200 real rows, then pseudo ones, and a zero row each."""
    draw = torch.Generator().manual_seed(2)
    mixed = torch.randn(DIM, DIM, generator=draw)
    values = torch.randn(20_500, DIM, generator=draw) @ mixed + torch.arange(DIM)
    real = torch.zeros(20_500, dtype=torch.bool)
    real[:300] = real[12_000:12_200] = True
    ptr = torch.tensor([0, 12_000, 20_500])
    index = torch.cat((torch.arange(12_000), torch.arange(8_500)))
    return Rows(ptr, index, values * real[:, None], 12_000), real, torch.tensor([7, 3])


def test_pseudo_gradients_have_mean_and_covariance_of_the_real_ones() -> None:
    rows, real, clients = gradients()
    found = with_pseudo(rows, real, KEY, clients)
    assert torch.equal(found[real], rows.values[real])
    for client in range(2):
        own = slice(int(rows.ptr[client]), int(rows.ptr[client + 1]))
        true, drawn = found[own][real[own]], found[own][~real[own]]
        assert len(drawn) > 8_000
        scale = float(true.std(0).max())
        assert float((true.mean(0) - drawn.mean(0)).abs().max()) < 0.05 * scale
        covariance = true.T.cov(correction=0)
        assert float((covariance - drawn.T.cov()).abs().max()) < 0.08 * float(covariance.max())


def test_pseudo_gradients_do_not_depend_on_who_is_beside() -> None:
    rows, real, clients = gradients()
    together = with_pseudo(rows, real, KEY, clients)
    second = with_pseudo(rows.select(torch.tensor([1])), real[12_000:], KEY, clients[1:])
    torch.testing.assert_close(together[12_000:], second)


def test_every_number_is_clipped_before_its_noise() -> None:
    rows, _, clients = gradients()
    stream = KEY.to(Purpose.LAPLACE)
    clipped = clipped_with_laplace(rows, 0.1, 0.0, stream, clients)
    noised = clipped_with_laplace(rows, 0.1, 0.2, stream, clients)
    assert isinstance(clipped, Rows)
    assert isinstance(noised, Rows)
    assert torch.equal(clipped.values, rows.values.clamp(-0.1, 0.1))
    noise = (noised.values - clipped.values).abs()
    # the size of Laplace noise is exponential, with its scale as mean and deviation
    assert float(noise.mean()) == pytest.approx(0.2, rel=0.02)
    assert float(noise.std()) == pytest.approx(0.2, rel=0.03)


def test_a_client_uploads_the_gradient_of_its_own_loss() -> None:
    algorithm = made(negatives=2)
    state = algorithm.init_server(SETTING)
    draw = torch.Generator().manual_seed(3)
    state["attention"] = torch.randn(2, DIM, generator=draw)
    one = BATCH.select(torch.tensor([2]))
    private = algorithm.init_private(SETTING, one)
    task = algorithm.broadcast(state, one.clients, 5)
    update, after = algorithm.local(task, one, private, KEY)
    weights = {name: state[name].clone().requires_grad_() for name in task.shared}
    user = private["user"][0].clone().requires_grad_()
    changed = update.arrays["items"]
    assert isinstance(changed, Rows)
    outside = sorted(set(changed.index.tolist()) - set(one.items.tolist()))
    loss = torch.zeros(())
    for place, item in enumerate(one.items.tolist()):
        kept = [weights["items"][i] for j, i in enumerate(one.items.tolist()) if j != place]
        logit = alone(weights, user, kept) @ (weights["items"][item] @ weights["transform"])
        loss = loss + torch.nn.functional.softplus(-logit)
    # a negative's logit is the same wherever it was drawn, so its share is found from its count
    everything = alone(weights, user, [weights["items"][i] for i in one.items.tolist()])
    scores = torch.stack(
        [everything @ (weights["items"][i] @ weights["transform"]) for i in outside]
    )
    terms = torch.nn.functional.softplus(scores)
    samples = 3 * len(one.items)
    counts = _counts(algorithm, one, outside)
    assert int(counts.sum()) == 2 * len(one.items)
    loss = (loss + (terms * counts).sum()) / samples
    torch.testing.assert_close(update.loss[0], loss.detach())
    loss.backward()  # type: ignore[no-untyped-call]
    for name, weight in weights.items():
        value = update.arrays[name]
        found = value.dense()[0] if isinstance(value, Rows) else value[0]
        torch.testing.assert_close(found, weight.grad.clamp(-0.1, 0.1), atol=1e-6, rtol=1e-4)
    assert user.grad is not None
    torch.testing.assert_close(after["user"][0], user.detach() - algorithm.user_lr * user.grad)


def _counts(algorithm: FedPerGNN, batch: object, outside: list[int]) -> Tensor:
    """How often each of these was drawn as a negative."""
    from ufgraphfr.data.epochs import epoch_samples

    samples = epoch_samples(batch, KEY, algorithm.negatives, 0)  # type: ignore[arg-type]
    drawn = samples.item[(samples.positive == 0) & (samples.item >= 0)]
    return torch.bincount(drawn, minlength=ITEMS)[outside]


def matched(algorithm: FedPerGNN) -> tuple[State, dict[str, Tensor], Tensor]:
    """The server after the round of the matching server; the devices' weights; what it saw."""
    state = algorithm.init_server(SETTING)
    private = algorithm.init_private(SETTING, BATCH)
    task = algorithm.broadcast(state, BATCH.clients, algorithm.expansion)
    assert not task.shared
    update, kept = algorithm.local(task, BATCH, private, Key(SEED).at(algorithm.expansion))
    dense = {name: value for name, value in update.arrays.items() if isinstance(value, Tensor)}
    order = BATCH.clients.argsort()
    arrays = per_client({name: value[order] for name, value in dense.items()})
    zeros = torch.zeros(len(BATCH))
    report = Report(
        algorithm.expansion, BATCH.clients[order], arrays, Aggregation.PER_CLIENT, zeros
    )
    return algorithm.aggregate(state, report), kept, dense["ciphers"]


def test_neighbors_are_who_shares_most_items_and_are_sent_once() -> None:
    algorithm = made()
    state, private, _ = matched(algorithm)
    assert algorithm.asks_all_clients(1)
    assert algorithm.asks_all_clients(2)
    assert not algorithm.asks_all_clients(3)
    task = algorithm.broadcast(state, BATCH.clients, 2)
    _, after = algorithm.local(task, BATCH, private, KEY)
    assert not algorithm.broadcast(state, BATCH.clients, 3).personal
    own = [set(part.tolist()) for part in BATCH.items.split(BATCH.counts.tolist())]
    for client, items in enumerate(own):
        shared = [len(items & other) if c != client else 0 for c, other in enumerate(own)]
        best = sorted(shared, reverse=True)[: algorithm.neighbors]
        found = after["neighbors"][client]
        assert int((found[:, -1] > 0).sum()) == sum(count > 0 for count in best)
        for row, count in zip(found, best, strict=True):
            if count:
                alike = (private["user"] - row[:-1]).abs().sum(1) == 0
                assert shared[int(alike.nonzero()[0])] == count


def test_the_matching_server_sees_counts_and_no_names() -> None:
    _, _, ciphers = matched(made())
    plain = torch.zeros(len(BATCH), ITEMS)
    owner = torch.repeat_interleave(torch.arange(len(BATCH)), BATCH.counts)
    plain[owner, BATCH.items] = 1.0
    assert not torch.equal(ciphers, plain)
    assert torch.equal(ciphers @ ciphers.T, plain @ plain.T)
    assert torch.equal(ciphers.sum(0).sort().values, plain.sum(0).sort().values)
