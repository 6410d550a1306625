"""LightGCN over a federation against the central one: autograd over the whole bipartite graph."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ufgraphfr.algorithms.capabilities import asks_all_clients
from ufgraphfr.algorithms.item_operator.operator import COUNTS, INDEX, PTR, VALUE
from ufgraphfr.algorithms.lightgcn import PROPAGATED, LightGCN
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.releases import Budget
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.negatives import draw_outside
from ufgraphfr.testing import SmallFederation, checkerboard


def bipartite(batch: ClientBatch, counted: bool = True) -> Tensor:
    """The normalised adjacency matrix of users, then items, if these are counted."""
    users, items = len(batch), batch.n_items
    has = torch.zeros(users, items)
    for user in range(users):
        has[user, batch.items[batch.ptr[user] : batch.ptr[user + 1]]] = 1
    edges = torch.zeros(users + items, users + items)
    edges[:users, users:], edges[users:, :users] = has, has.T
    degree = edges.sum(1).clamp(min=1)
    if not counted:
        degree[users:] = 1
    return edges / (degree[:, None] * degree).sqrt()


def central(batch: ClientBatch, algorithm: LightGCN, items: Tensor, rounds: int) -> Tensor:
    """Item vectors after so many steps of torch's Adam on the mean loss of users."""
    edges, users = bipartite(batch, algorithm.hops > 0), len(batch)
    table = items.clone().requires_grad_()
    optimizer = torch.optim.Adam([table], lr=algorithm.lr, betas=algorithm.betas)
    first = algorithm.operator.rounds if algorithm.hops else 0
    for number in range(first + 1, first + rounds + 1):
        layer = torch.cat((torch.zeros(users, algorithm.dim), table))
        layers = [layer]
        for _ in range(2 * algorithm.hops + 1):
            layers.append(edges @ layers[-1])
        hidden = torch.stack(layers).mean(0)
        key = Key(3, round=number).to(Purpose.NEGATIVES)
        drawn = draw_outside(
            key,
            batch.clients,
            algorithm.negatives,
            batch.n_items,
            batch.excluded_ptr,
            batch.excluded,
        )
        loss = hidden.new_zeros(())
        for user in range(users):
            own = batch.items[batch.ptr[user] : batch.ptr[user + 1]]
            scores = hidden[users:] @ hidden[user]
            for item in own:
                candidates = torch.cat((scores[item][None], scores[drawn[user]]))
                loss = loss - candidates.log_softmax(0)[0] / len(own) / users
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return table.detach()


@pytest.mark.parametrize("hops", [0, 1, 2])
def test_a_federation_trains_what_a_center_does(hops: int) -> None:
    algorithm = LightGCN(dim=6, hops=hops, negatives=5, operator={"rounds": 3})
    federation = SmallFederation.of(algorithm, checkerboard())
    start = federation.state["items"].clone()
    federation.run((3 if hops else 0) + 5, chunk=7)
    expected = central(federation.batch, algorithm, start, 5)
    assert float((federation.state["items"] - start).abs().max()) > 0.1
    torch.testing.assert_close(federation.state["items"], expected, atol=1e-4, rtol=0)


def test_scores_are_those_of_the_bipartite_graph() -> None:
    algorithm = LightGCN(dim=6, hops=2, operator={"rounds": 3})
    federation = SmallFederation.of(algorithm, checkerboard()).run(4)
    batch, edges = federation.batch, bipartite(federation.batch)
    layers = [torch.cat((torch.zeros(len(batch), 6), federation.state["items"]))]
    for _ in range(5):
        layers.append(edges @ layers[-1])
    hidden = torch.stack(layers).mean(0)
    expected = hidden[: len(batch)] @ hidden[len(batch) :].T
    torch.testing.assert_close(federation.scores(), expected)


def test_the_operator_is_two_steps_over_the_bipartite_graph() -> None:
    algorithm = LightGCN(operator={"rounds": 5})
    federation = SmallFederation.of(algorithm, checkerboard()).run(5, chunk=5)
    state, items = federation.state, federation.setting.items
    found = torch.zeros(items, items)
    row = torch.arange(items).repeat_interleave(state[PTR].diff())
    found[row, state[INDEX]] = state[VALUE]
    twice = bipartite(federation.batch) @ bipartite(federation.batch)
    torch.testing.assert_close(found, twice[-items:, -items:])
    torch.testing.assert_close(
        state[COUNTS], torch.bincount(federation.batch.items, minlength=items).float()
    )


def test_only_propagated_vectors_and_counts_are_sent() -> None:
    federation = SmallFederation.of(LightGCN(operator={"rounds": 2}), checkerboard()).run(3)
    task = federation.algorithm.broadcast(federation.state, federation.batch.clients, 4)
    assert task.shared.keys() == {PROPAGATED, COUNTS}
    before: dict[str, Any] = federation.algorithm.broadcast(
        federation.state, federation.batch.clients, 2
    ).shared
    assert not before


def test_under_a_budget_it_has_no_operator_to_drown_in_noise() -> None:
    algorithm = LightGCN(dim=6)
    federation = SmallFederation.of(algorithm, checkerboard())
    private = algorithm.for_budget(Budget(24, noise=1.0), federation.setting)
    assert private == LightGCN(dim=6, hops=0)
    assert not asks_all_clients(private, 1)
