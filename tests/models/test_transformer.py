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


def torch_block(params: Params, name: str) -> nn.TransformerEncoderLayer:
    layer = nn.TransformerEncoderLayer(
        NET.dim, NET.heads, NET.hidden, 0.0, "gelu", batch_first=True, norm_first=True
    )
    theirs = {
        "self_attn.in_proj_weight": params[f"{name}in.weight"].T,
        "self_attn.in_proj_bias": params[f"{name}in.bias"],
        "self_attn.out_proj.weight": params[f"{name}out.weight"].T,
        "self_attn.out_proj.bias": params[f"{name}out.bias"],
        "linear1.weight": params[f"{name}up.weight"].T,
        "linear1.bias": params[f"{name}up.bias"],
        "linear2.weight": params[f"{name}down.weight"].T,
        "linear2.bias": params[f"{name}down.bias"],
        "norm1.weight": params[f"{name}attention.gain"],
        "norm1.bias": params[f"{name}attention.shift"],
        "norm2.weight": params[f"{name}ffn.gain"],
        "norm2.bias": params[f"{name}ffn.shift"],
    }
    layer.load_state_dict(theirs)
    return layer


def oracle(params: Params, items: Tensor, text: Tensor) -> Tensor:
    user = (text @ params["joint.weight"] + params["joint.bias"])[:, None]
    x = torch.cat((user, params["item.weight"][items] * math.sqrt(NET.dim)), dim=1)
    x = x + params["position.weight"][: x.shape[1]]
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    for block in range(NET.blocks):
        x = torch_block(params, f"{block}.")(x, src_mask=mask, is_causal=True)
    return nn.functional.layer_norm(x, (NET.dim,), params["last.gain"], params["last.shift"])


def test_it_is_a_stack_of_torch_layers(params: Params) -> None:
    items = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    text = torch.randn(2, NET.text_width)
    expected = oracle(params, items, text)
    states = NET.states(params, items, text)
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(
        NET.logits(params, states), expected @ params["item.weight"].T + params["item.bias"]
    )


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
    assert len(found) == len(named) == 8
    for matrix, view in zip(found, named.values(), strict=True):
        assert torch.equal(matrix, view)
