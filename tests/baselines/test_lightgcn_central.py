"""LightGCN against autograd over the dense bipartite graph."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ufgraphfr.baselines.lightgcn_central import CentralLightGCN, _Graph
from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.testing import checkerboard


def adjacency(batch: ClientBatch) -> Tensor:
    """The normalised matrix of users, then items."""
    users = len(batch)
    edges = torch.zeros(users + batch.n_items, users + batch.n_items)
    for user in range(users):
        own = users + batch.items[batch.ptr[user] : batch.ptr[user + 1]]
        edges[user, own] = edges[own, user] = 1
    degree = edges.sum(1).clamp(min=1)
    return edges / (degree[:, None] * degree).sqrt()


@pytest.fixture
def batch() -> ClientBatch:
    return checkerboard()


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_the_gradient_is_that_of_the_whole_graph(batch: ClientBatch, layers: int) -> None:
    baseline, graph, edges = CentralLightGCN(layers=layers), _Graph(batch), adjacency(batch)
    table = torch.randn(len(edges), 5, generator=torch.Generator().manual_seed(1))
    user, item = graph.owner[::2], batch.items[::2]
    against = (item + 6 + user % 2) % batch.n_items
    found = baseline._gradient(graph, table, (user, item, against), len(batch))

    leaf = table.clone().requires_grad_()
    every = [leaf]
    for _ in range(layers):
        every.append(edges @ every[-1])
    hidden = torch.stack(every).mean(0)
    history = (edges > 0)[: len(batch), len(batch) :]
    free = ~history[user, against]
    assert 0 < int(free.sum()) < len(user)  # an item that the user has is no negative
    user, item, against = user[free], item[free] + len(batch), against[free] + len(batch)
    loss = softplus((hidden[user] * (hidden[against] - hidden[item])).sum(1)).mean()
    decay = sum(leaf[rows].square().sum() for rows in (user, item, against)) / 2 / len(user)
    (loss + baseline.weight_decay * decay).backward()
    torch.testing.assert_close(found, leaf.grad, atol=1e-6, rtol=1e-4)


def test_a_known_user_is_scored_as_the_graph_has_it(batch: ClientBatch) -> None:
    still = CentralLightGCN(epochs=1, lr=1e-12)
    start = torch.randn(2 * len(batch), still.dim, generator=Key(still.seed).generator())
    mean = _Graph(batch).mean(start * still.init_std, still.layers)
    expected = mean[: len(batch)] @ mean[len(batch) :].T
    torch.testing.assert_close(still.score(still.fit(batch), batch), expected)


def test_who_was_not_in_training_is_scored_by_the_history_alone(batch: ClientBatch) -> None:
    baseline = CentralLightGCN(epochs=3)
    fitted = baseline.fit(batch.select(torch.arange(len(batch) - 1)))
    scores = baseline.score(fitted, batch.select(torch.tensor([len(batch) - 1])))
    without = fitted | {"users": torch.zeros_like(fitted["users"])}
    again = baseline.score(without, batch.select(torch.tensor([len(batch) - 1])))
    assert torch.equal(scores, again)
    assert float(scores.std()) > 0
