"""The client's network against the same network of torch's own layers."""

from dataclasses import replace

import pytest
import torch
from lonely_client import LonelyClient, network_weights
from torch import Tensor

from ufgraphfr.models.personal import PersonalNetwork, Scoring
from ufgraphfr.models.stacked import Params

CLIENTS, ITEMS, DIM, HISTORY, LENGTH = 3, 11, 8, 6, 4
NETWORK = PersonalNetwork(
    dim=DIM, hidden=12, heads=2, history=HISTORY, scorer=(16, 8, 4, 2, 1), slope=0.1, scoring="both"
)


def weights(network: PersonalNetwork = NETWORK) -> Params:
    generator = torch.Generator().manual_seed(0)
    nets = [network.init(generator) for _ in range(CLIENTS)]
    return {name: torch.stack([net[name] for net in nets]) for name in nets[0]}


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


USER = random(CLIENTS, DIM, seed=1)
TABLES = random(CLIENTS, ITEMS, DIM, seed=2)
RECENT = torch.tensor([[4, 2, 9, 0], [1, 3, 5, 7], [10, 8, 6, 4]])
SEEN = TABLES[torch.arange(CLIENTS)[:, None], RECENT]


@pytest.mark.parametrize("scoring", ["both", "mlp", "product"])
def test_scores_are_those_of_torchs_own_layers(scoring: Scoring) -> None:
    network = replace(NETWORK, scoring=scoring)
    params = weights()
    states = network.states(params, USER, SEEN)
    assert states.shape == (CLIENTS, LENGTH + 1, DIM)
    place = torch.randint(LENGTH + 1, (CLIENTS, 9), generator=torch.Generator().manual_seed(3))
    item = torch.randint(ITEMS, (CLIENTS, 9), generator=torch.Generator().manual_seed(4))
    vectors = TABLES[torch.arange(CLIENTS)[:, None], item]
    result = network.logits(params, states, place, vectors)
    for client in range(CLIENTS):
        alone = LonelyClient(ITEMS, DIM, DIM, 12, 2, HISTORY, scoring=scoring)
        named = network_weights({name: value[client] for name, value in params.items()})
        named |= {"items.weight": TABLES[client], "joint.weight": torch.eye(DIM)}
        alone.load_state_dict(named | {"joint.bias": torch.zeros(DIM)})
        expected = alone(USER[client], RECENT[client], place[client], item[client]).detach()
        torch.testing.assert_close(result[client], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("slope", [0.1, 1.0])
@pytest.mark.parametrize("scoring", ["both", "mlp", "product"])
def test_ranking_scores_are_the_logits_in_the_last_state(slope: float, scoring: Scoring) -> None:
    network = replace(NETWORK, slope=slope, scoring=scoring)
    params = weights(network)
    states = network.states(params, USER, SEEN)
    place = torch.full((CLIENTS, ITEMS), LENGTH)
    torch.testing.assert_close(
        network.rank(params, states[:, -1], TABLES), network.logits(params, states, place, TABLES)
    )


def test_without_history_there_is_one_state_and_it_depends_on_the_user() -> None:
    network = replace(NETWORK, history=0)
    params = weights(network)
    states = network.states(params, USER, SEEN[:, :0])
    assert states.shape == (CLIENTS, 1, DIM)
    assert not torch.allclose(states, network.states(params, USER + 1, SEEN[:, :0]))


def test_states_see_the_past_alone() -> None:
    params = weights()
    states = NETWORK.states(params, USER, SEEN)
    fewer = NETWORK.states(params, USER, SEEN[:, :2])
    torch.testing.assert_close(states[:, :3], fewer, atol=1e-6, rtol=1e-6)
    # order matters: positions are learned
    turned = NETWORK.states(params, USER, SEEN.flip(1))
    assert not torch.allclose(states[:, -1], turned[:, -1], atol=1e-4)
