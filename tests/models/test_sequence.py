"""The stacked causal block against torch's own layer, and its dropout."""

import pytest
import torch
from lonely_client import layer_weights
from torch import Tensor, nn

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.models.dropout import dropout_masks
from ufgraphfr.models.sequence import block, init_block
from ufgraphfr.models.stacked import Params

DIM, HIDDEN, HEADS, CLIENTS, LENGTH = 16, 24, 4, 3, 7
KEY = Key(1, round=2, purpose=Purpose.DROPOUT)


def weights() -> Params:
    """Another block for each client, its norms not at their initial values."""
    generator = torch.Generator().manual_seed(0)
    blocks = [init_block(DIM, HIDDEN, generator) for _ in range(CLIENTS)]
    params = {name: torch.stack([one[name] for one in blocks]) for name in blocks[0]}
    for name in params:
        if name.startswith("norm"):
            params[name] += torch.randn(CLIENTS, DIM, generator=generator)
    return params


def inputs() -> Tensor:
    return torch.randn(CLIENTS, LENGTH, DIM, generator=torch.Generator().manual_seed(1))


def alone(params: Params, client: int, x: Tensor) -> Tensor:
    """torch's post-norm encoder layer with one client's weights."""
    layer = nn.TransformerEncoderLayer(DIM, HEADS, HIDDEN, dropout=0.0, batch_first=True)
    layer.load_state_dict(layer_weights({name: value[client] for name, value in params.items()}))
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[0])
    return layer(x[None], src_mask=mask, is_causal=True)[0]


def test_the_block_is_torchs_encoder_layer_for_each_client() -> None:
    params, x = weights(), inputs()
    result = block(params, x, HEADS, None)
    for client in range(CLIENTS):
        oracle = alone(params, client, x[client]).detach()
        torch.testing.assert_close(result[client], oracle, atol=1e-5, rtol=1e-5)


def test_its_gradients_are_those_of_torchs_layer() -> None:
    params = {name: value.requires_grad_() for name, value in weights().items()}
    weigh = torch.randn(CLIENTS, LENGTH, DIM, generator=torch.Generator().manual_seed(2))
    loss = (block(params, inputs(), HEADS, None) * weigh).sum()
    gradients = dict(zip(params, torch.autograd.grad(loss, params.values()), strict=True))
    for client in range(CLIENTS):
        layer = nn.TransformerEncoderLayer(DIM, HEADS, HIDDEN, dropout=0.0, batch_first=True)
        own = {name: value[client].detach() for name, value in params.items()}
        layer.load_state_dict(layer_weights(own))
        mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)
        out = layer(inputs()[client : client + 1], src_mask=mask, is_causal=True)[0]
        (out * weigh[client]).sum().backward()
        expected = layer_weights({name: value[client] for name, value in gradients.items()})
        for name, parameter in layer.named_parameters():
            torch.testing.assert_close(expected[name], parameter.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("changed", range(1, LENGTH))
def test_a_later_item_never_changes_an_earlier_state(changed: int) -> None:
    params, x = weights(), inputs()
    other = x.clone()
    other[:, changed] += 1
    before, after = block(params, x, HEADS, None), block(params, other, HEADS, None)
    torch.testing.assert_close(before[:, :changed], after[:, :changed], atol=1e-6, rtol=0)
    assert ((before[:, changed:] - after[:, changed:]).abs().amax(2) > 1e-4).all()


def test_padding_on_the_right_is_not_seen() -> None:
    params, x = weights(), inputs()
    padded = torch.cat((x, torch.full((CLIENTS, 3, DIM), 1e4)), dim=1)
    result = block(params, padded, HEADS, None)[:, :LENGTH]
    torch.testing.assert_close(result, block(params, x, HEADS, None), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("asked", [0.1, 0.3, 0.5, 0.9999])
def test_masks_drop_at_the_rate_and_keep_the_mean(asked: float) -> None:
    masks = dropout_masks(KEY, torch.arange(100), 2, 50, 8, asked)
    assert masks is not None
    assert masks.shape == (2, 100, 50, 8)
    # a byte decides: the rate nearest to the one asked for, and the scale that belongs to it
    rate = min(round(asked * 256), 255) / 256
    kept = masks[masks > 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)))
    # four standard errors
    tolerance = 4 * (rate * (1 - rate) / masks[0].numel()) ** 0.5
    for site in masks:
        assert float((site == 0).float().mean()) == pytest.approx(rate, abs=tolerance)
    # neither sub-layers, positions nor channels share their coins
    assert not torch.equal(masks[0], masks[1])
    for axis in (1, 2):
        near = (masks[0] == 0).float()
        first = near.narrow(axis, 0, near.shape[axis] - 1)
        both = first * near.narrow(axis, 1, near.shape[axis] - 1)
        assert float(both.mean()) == pytest.approx(rate**2, abs=2 * tolerance)


def test_without_dropout_there_is_no_mask() -> None:
    assert dropout_masks(KEY, torch.arange(3), 2, 5, 8, 0.0) is None
    assert dropout_masks(KEY, torch.arange(3), 2, 5, 8, 0.001) is None


@pytest.mark.parametrize(("sites", "dim"), [(2, 8), (1, 3), (3, 5)])
def test_a_clients_mask_depends_on_nobody_else_and_on_no_padding(sites: int, dim: int) -> None:
    clients = torch.tensor([4, 9, 2])
    together = dropout_masks(KEY, clients, sites, 6, dim, 0.3)
    alone = dropout_masks(KEY, clients[1:2], sites, 4, dim, 0.3)
    other = dropout_masks(KEY.to(Purpose.DROPOUT, 1), clients[1:2], sites, 4, dim, 0.3)
    assert together is not None
    assert alone is not None
    assert other is not None
    assert torch.equal(alone[:, 0], together[:, 1, :4])
    assert not torch.equal(together[:, 0], together[:, 1])
    assert not torch.equal(alone, other)


def test_masks_fall_on_the_output_of_each_sub_layer() -> None:
    params, x = weights(), inputs()
    masks = torch.rand(2, CLIENTS, LENGTH, DIM, generator=torch.Generator().manual_seed(4))
    result = block(params, x, HEADS, masks)
    causal = nn.Transformer.generate_square_subsequent_mask(LENGTH)
    for client in range(CLIENTS):
        layer = nn.TransformerEncoderLayer(DIM, HEADS, HIDDEN, dropout=0.0, batch_first=True)
        own = {name: value[client] for name, value in params.items()}
        layer.load_state_dict(layer_weights(own))
        one = x[client : client + 1]
        attended, _ = layer.self_attn(one, one, one, attn_mask=causal, need_weights=False)
        middle = layer.norm1(one + attended * masks[0, client])
        out = layer.linear2(layer.linear1(middle).relu())
        expected = layer.norm2(middle + out * masks[1, client])[0].detach()
        torch.testing.assert_close(result[client], expected, atol=1e-5, rtol=1e-5)
