"""The shared Transformer, against torch's own layers, and what a state may see."""

import math

import pytest
import torch
from torch import Tensor, nn

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.models.dropout import dropout_masks
from ufgraphfr.models.transformer import Params, Transformer

NET = Transformer(items=11, text_width=5, dim=8, hidden=12, heads=2, blocks=2, history=6, text=True)


@pytest.fixture
def params() -> Params:
    generator = torch.Generator().manual_seed(0)
    # larger than the initial weights, so that every part matters
    return NET.unpack(NET.init(generator) + 0.3 * torch.randn(NET.size, generator=generator))


class Block(nn.Module):
    """One block as one would first write it: torch's layers, and a loop over the biases."""

    def __init__(self, net: Transformer) -> None:
        super().__init__()
        self.before = nn.LayerNorm(net.dim)
        self.attention = nn.MultiheadAttention(net.dim, net.heads, batch_first=True)
        self.between = nn.LayerNorm(net.dim)
        self.gate = nn.Linear(net.dim, net.width)
        self.wide = nn.Linear(net.dim, net.width)
        self.down = nn.Linear(net.width, net.dim)

    def forward(self, x: Tensor, distance_bias: Tensor) -> Tensor:
        """From ``[users, length, dim]`` and ``[heads, reach]``."""
        (users, length, _), (heads, reach) = x.shape, distance_bias.shape
        mask = torch.full((heads, length, length), -math.inf)
        for query in range(length):
            for key in range(query + 1):
                mask[:, query, key] = distance_bias[:, min(query - key, reach - 1)]
        one = self.before(x)
        mask = mask.repeat(users, 1, 1)
        x = x + self.attention(one, one, one, attn_mask=mask, need_weights=False)[0]
        one = self.between(x)
        return x + self.down(nn.functional.silu(self.gate(one)) * self.wide(one))


def torch_block(params: Params, name: str, net: Transformer) -> Block:
    block = Block(net)
    gate, wide = params[f"{name}up.weight"].T.chunk(2)
    gate_bias, wide_bias = params[f"{name}up.bias"].chunk(2)
    theirs = {
        "before.weight": params[f"{name}attention.gain"],
        "before.bias": params[f"{name}attention.shift"],
        "attention.in_proj_weight": params[f"{name}in.weight"].T,
        "attention.in_proj_bias": params[f"{name}in.bias"],
        "attention.out_proj.weight": params[f"{name}out.weight"].T,
        "attention.out_proj.bias": params[f"{name}out.bias"],
        "between.weight": params[f"{name}ffn.gain"],
        "between.bias": params[f"{name}ffn.shift"],
        "gate.weight": gate,
        "gate.bias": gate_bias,
        "wide.weight": wide,
        "wide.bias": wide_bias,
        "down.weight": params[f"{name}down.weight"].T,
        "down.bias": params[f"{name}down.bias"],
    }
    block.load_state_dict(theirs)
    return block


def oracle(params: Params, items: Tensor, text: Tensor, net: Transformer = NET) -> Tensor:
    user = (text @ params["joint.weight"] + params["joint.bias"])[:, None]
    x = torch.cat((user, params["item.weight"][items] * math.sqrt(net.dim)), dim=1)
    x = x + params["position.weight"][: x.shape[1]]
    for block in range(net.blocks):
        x = torch_block(params, f"{block}.", net)(x, params[f"{block}.distance.bias"])
    return nn.functional.layer_norm(x, (net.dim,), params["last.gain"], params["last.shift"])


def test_it_is_a_stack_of_torch_layers(params: Params) -> None:
    items = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    text = torch.randn(2, NET.text_width)
    expected = oracle(params, items, text)
    states = NET.states(params, items, text)
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(
        NET.logits(params, states), expected @ params["item.weight"].T + params["item.bias"]
    )


def test_distances_beyond_the_reach_share_the_last_bias() -> None:
    net = Transformer(11, 5, dim=4, hidden=4, heads=2, blocks=1, history=6, text=True)
    assert net.reach < net.history + 1
    params = net.unpack(torch.randn(net.size, generator=torch.Generator().manual_seed(1)))
    items, text = torch.tensor([[3, 1, 4, 1, 5, 9]]), torch.ones(1, 5)
    torch.testing.assert_close(net.states(params, items, text), oracle(params, items, text, net))


def test_each_clients_own_weights_give_its_own_states_and_gradients() -> None:
    generator = torch.Generator().manual_seed(2)
    own = (0.3 * torch.randn(3, NET.size, generator=generator)).requires_grad_()
    items = torch.tensor([[3, 1, 4, 1], [5, 9, 2, 6], [5, 3, 5, 8]])
    text = torch.randn(3, NET.text_width, generator=generator)

    def states(weights: Tensor, items: Tensor, text: Tensor) -> Tensor:
        return NET.states(NET.unpack(weights), items, text)

    together = torch.func.vmap(states)(own, items, text)
    (gradient,) = torch.autograd.grad(together.square().sum(), own)
    for client in range(3):
        alone = own[client].detach().requires_grad_()
        expected = oracle(NET.unpack(alone), items[client][None], text[client][None])
        torch.testing.assert_close(together[client], expected[0], atol=1e-5, rtol=1e-4)
        mine = states(alone, items[client], text[client])
        (its,) = torch.autograd.grad(mine.square().sum(), alone)
        torch.testing.assert_close(gradient[client], its, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dim", [2, 6, 16, 64, 128])
@pytest.mark.parametrize("hidden", [2, 3, 8, 64, 128, 256])
@pytest.mark.parametrize("history", [1, 100, 1000])
def test_a_block_has_no_more_weights_than_a_plain_one(dim: int, hidden: int, history: int) -> None:
    for heads in {1, 2, dim}:
        net = Transformer(11, 5, dim, hidden, heads, 1, history, text=True)
        block = sum(math.prod(shape) for name, shape in net.shapes.items() if name[0] == "0")
        # two norms, attention with biases, and two linear layers
        plain = 4 * dim + 4 * dim**2 + 4 * dim + 2 * dim * hidden + hidden + dim
        # another column of the gated layers would be one too many
        assert plain - (3 * dim + 2) < block <= plain


def test_a_state_sees_nothing_later(params: Params) -> None:
    text = torch.randn(1, NET.text_width)
    before = NET.states(params, torch.tensor([[3, 1, 4, 1]]), text)
    after = NET.states(params, torch.tensor([[3, 1, 7, -1]]), text)
    torch.testing.assert_close(after[:, :3], before[:, :3])
    assert not torch.allclose(after[:, 3], before[:, 3])


def test_without_text_all_profiles_are_alike(params: Params) -> None:
    mute = Transformer(11, 5, 8, 12, 2, 2, 6, text=False)
    del params["joint.weight"]
    states = mute.states(params, torch.tensor([[1, 2], [1, 2]]), torch.randn(2, 5))
    torch.testing.assert_close(states[0], states[1])
    assert "joint.weight" not in mute.shapes


def test_one_vector_holds_all_weights() -> None:
    vector = torch.arange(NET.size, dtype=torch.float32)
    parts = NET.unpack(vector)
    assert list(parts) == list(NET.shapes)
    assert torch.equal(torch.cat([part.flatten() for part in parts.values()]), vector)


def test_dropout_reaches_every_site(params: Params) -> None:
    items, text = torch.tensor([[3, 1, 4]]), torch.randn(1, NET.text_width)
    masks = dropout_masks(
        Key(0, purpose=Purpose.DROPOUT), torch.tensor([0]), NET.dropout_sites, 4, NET.dim, 0.5
    )
    assert masks is not None
    plain = NET.states(params, items, text, torch.ones_like(masks))
    torch.testing.assert_close(plain, NET.states(params, items, text))
    for site in range(NET.dropout_sites):
        only = torch.ones_like(masks)
        only[site] = masks[site]
        assert not torch.allclose(NET.states(params, items, text, only), plain)


def test_matrices_lie_where_the_weights_are_laid_out() -> None:
    network = Transformer(7, 5, 4, 6, 2, 1, 3, text=True, columns=2)
    vector = torch.arange(float(network.size))
    named = {name: view for name, view in network.named(vector).items() if view.dim() == 2}
    found = [
        vector[at : at + rows * columns].view(rows, columns)
        for at, rows, columns in network.matrices
    ]
    assert len(found) == len(named) == 9
    for matrix, view in zip(found, named.values(), strict=True):
        assert torch.equal(matrix, view)


def test_what_is_read_of_some_items_is_what_unpacking_gives() -> None:
    network = Transformer(9, 4, 6, 8, 2, 1, 5, True, columns=3)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(network.size, generator=generator)
    features = torch.randn(9, 3, generator=generator)
    rows = torch.tensor([4, 0, 4, 8])
    expected = network.unpack(weights, features, rows)
    found = network.named_rows(*network.read(weights, rows), features[rows])
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name])
    vectors, bias, rest = network.divided(weights)
    assert torch.equal(torch.cat((vectors.flatten(), bias, rest)), weights)
