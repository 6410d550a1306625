"""Layers on stacked weights against torch.nn, client by client."""

import math

import torch
from torch import nn

from ufgraphfr.models.stacked import init_linear, init_norm, layer_norm, linear, stack

CLIENTS, SAMPLES, INPUTS, OUTPUTS = 3, 5, 4, 6


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_linear_and_norm_meet_each_client_with_its_own_weights() -> None:
    x = random(CLIENTS, SAMPLES, INPUTS, seed=0)
    weight, bias = random(CLIENTS, INPUTS, OUTPUTS, seed=1), random(CLIENTS, OUTPUTS, seed=2)
    gain, shift = random(CLIENTS, INPUTS, seed=3), random(CLIENTS, INPUTS, seed=4)
    for client in range(CLIENTS):
        layer, norm = nn.Linear(INPUTS, OUTPUTS), nn.LayerNorm(INPUTS)
        layer.weight.data, layer.bias.data = weight[client].T, bias[client]
        norm.weight.data, norm.bias.data = gain[client], shift[client]
        ours = linear(x, weight, bias)[client], layer_norm(x, gain, shift)[client]
        theirs = layer(x[client]).detach(), norm(x[client]).detach()
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_initial_weights_are_uniform_and_those_of_the_generator() -> None:
    layer = init_linear("a", 100, 50, torch.Generator().manual_seed(0))
    again = init_linear("a", 100, 50, torch.Generator().manual_seed(0))
    assert list(layer) == ["a.weight", "a.bias"]
    assert layer["a.weight"].shape == (100, 50)
    assert layer["a.bias"].shape == (50,)
    assert torch.equal(layer["a.weight"], again["a.weight"])
    # uniform in +-.1: its standard deviation is .1 / sqrt(3)
    assert float(layer["a.weight"].abs().max()) <= 0.1
    assert abs(float(layer["a.weight"].std()) * math.sqrt(3) / 0.1 - 1) < 0.05
    assert init_norm("n", 2)["n.gain"].tolist() == [1, 1]
    assert init_norm("n", 2)["n.bias"].tolist() == [0, 0]


def test_stacked_clients_share_values_and_no_memory() -> None:
    one = {"w": torch.ones(2, 3)}
    many = stack(one, 4)
    assert torch.equal(many["w"], torch.ones(4, 2, 3))
    many["w"][0] += 1
    assert torch.equal(many["w"][1:], torch.ones(3, 2, 3))
    assert torch.equal(one["w"], torch.ones(2, 3))
