"""The score MLP against torch.nn.Sequential on the concatenation."""

import pytest
import torch
from torch import Tensor, nn

from ufgraphfr.models.scorer import init_scorer, logits, project_states
from ufgraphfr.models.stacked import Params

CLIENTS, SAMPLES, DIM = 3, 5, 4
SIZES = (2 * DIM, 6, 3, 1)


def weights() -> Params:
    generator = torch.Generator().manual_seed(0)
    nets = [init_scorer(SIZES, generator) for _ in range(CLIENTS)]
    return {name: torch.stack([net[name] for net in nets]) for name in nets[0]}


def alone(params: Params, client: int, slope: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for depth in range(len(SIZES) - 1):
        layer = nn.Linear(SIZES[depth], SIZES[depth + 1])
        layer.weight.data = params[f"score.{depth}.weight"][client].T
        layer.bias.data = params[f"score.{depth}.bias"][client]
        layers += [nn.LeakyReLU(slope), layer] if depth else [layer]
    return nn.Sequential(*layers)


def score(params: Params, states: Tensor, items: Tensor, slope: float) -> Tensor:
    return logits(params, project_states(params, states), items, slope)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("slope", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("states_each", [SAMPLES, 1])
def test_scores_are_those_of_an_mlp_on_state_and_item(slope: float, states_each: int) -> None:
    params = weights()
    states = random(CLIENTS, states_each, DIM, seed=1)
    items = random(CLIENTS, SAMPLES, DIM, seed=2)
    result = score(params, states, items, slope)
    assert result.shape == (CLIENTS, SAMPLES)
    for client in range(CLIENTS):
        both = torch.cat((states[client].expand(SAMPLES, DIM), items[client]), dim=1)
        expected = alone(params, client, slope)(both).squeeze(1).detach()
        torch.testing.assert_close(result[client], expected, atol=1e-6, rtol=1e-5)


def test_without_activations_the_state_shifts_all_items_alike() -> None:
    params = weights()
    items = random(CLIENTS, SAMPLES, DIM, seed=2)
    states = [random(CLIENTS, 1, DIM, seed=seed) for seed in (1, 3)]

    def spread(slope: float) -> Tensor:
        shift = score(params, states[0], items, slope) - score(params, states[1], items, slope)
        return shift.amax(1) - shift.amin(1)

    # so the state, and with it the user's text, changes no ranking
    assert (spread(slope=1.0) < 1e-5).all()
    assert (spread(slope=0.0) > 1e-2).all()
