"""One UFGraphFR client as one would first write it: torch's own layers, a whole item table.

Nothing is stacked, sparse or in closed form: ``W x + b`` is a linear layer, the item table is an
embedding with a dense gradient, and plain SGD with three learning rates steps all of it.
"""

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LonelyClient(nn.Module):
    """The network of one client, and its item table."""

    def __init__(
        self,
        items: int,
        width: int,
        dim: int = 32,
        hidden: int = 64,
        heads: int = 8,
        history: int = 50,
        dropout: float = 0.0,
        scoring: str = "both",
    ) -> None:
        super().__init__()
        self.scoring = scoring
        self.joint = nn.Linear(width, dim)
        self.user = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.position = nn.Parameter(torch.randn(history + 1, dim) * 0.02)
        self.block = nn.TransformerEncoderLayer(dim, heads, hidden, dropout, batch_first=True)
        self.score = nn.Sequential(
            *(nn.Linear(2 * dim, dim), nn.LeakyReLU(0.1)),
            *(nn.Linear(dim, dim // 2), nn.LeakyReLU(0.1)),
            *(nn.Linear(dim // 2, dim // 4), nn.LeakyReLU(0.1)),
            nn.Linear(dim // 4, 1),
        )
        self.items = nn.Embedding(items, dim)

    def forward(self, text: Tensor, recent: Tensor, state: Tensor, item: Tensor) -> Tensor:
        """Logits of items ``[samples]`` in states ``[samples]``, after the recent items."""
        token = self.user(self.joint(text))
        seen = self.items(recent).detach()
        x = torch.cat((token[None], seen)) + self.position[: len(recent) + 1]
        mask = nn.Transformer.generate_square_subsequent_mask(len(x))
        states = self.block(x[None], src_mask=mask, is_causal=True)[0]
        pair = states[state], self.items(item)
        mlp = self.score(torch.cat(pair, dim=1)).squeeze(1)
        product = torch.stack([torch.dot(s, i) for s, i in zip(*pair, strict=True)])
        return {"mlp": mlp, "product": product, "both": mlp + product}[self.scoring]


Step = tuple[Tensor, Tensor, Tensor]
"""State, item and label (1 or 0) of each sample of a batch."""


def train(
    client: LonelyClient,
    text: Tensor,
    recent: Tensor,
    steps: Iterable[Step],
    lr: float,
    joint_lr: float,
    row_lr: float,
    pull: float,
) -> float:
    """Plain SGD over some batches; returns the mean cross-entropy of a batch."""
    own = {client.joint.weight, client.items.weight}
    optimiser = torch.optim.SGD(
        [
            {"params": [p for p in client.parameters() if p not in own], "lr": lr},
            {"params": [client.joint.weight], "lr": joint_lr},
            {"params": [client.items.weight], "lr": row_lr},
        ]
    )
    start = client.items.weight.detach().clone()
    losses = []
    for state, item, label in steps:
        optimiser.zero_grad()
        logits = client(text, recent, state, item)
        entropy = F.binary_cross_entropy_with_logits(logits, label)
        (entropy + pull * (client.items.weight - start).square().mean()).backward()
        optimiser.step()
        losses.append(entropy.item())
    return sum(losses) / len(losses)


def layer_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One client's Transformer block under torch's names (weights there are transposed)."""
    return {
        "self_attn.in_proj_weight": weights["attention.in.weight"].T,
        "self_attn.in_proj_bias": weights["attention.in.bias"],
        "self_attn.out_proj.weight": weights["attention.out.weight"].T,
        "self_attn.out_proj.bias": weights["attention.out.bias"],
        "linear1.weight": weights["ffn.in.weight"].T,
        "linear1.bias": weights["ffn.in.bias"],
        "linear2.weight": weights["ffn.out.weight"].T,
        "linear2.bias": weights["ffn.out.bias"],
        "norm1.weight": weights["norm.1.gain"],
        "norm1.bias": weights["norm.1.bias"],
        "norm2.weight": weights["norm.2.gain"],
        "norm2.bias": weights["norm.2.bias"],
    }


def network_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One client's networks, all but the joint layer and the items, under `LonelyClient`'s names.

    Layer number k of an MLP is entry 2k of its `torch.nn.Sequential`, activations counted.
    """
    named = {f"block.{name}": value for name, value in layer_weights(weights).items()}
    named["position"] = weights["position"]
    for name, value in weights.items():
        part, depth, kind = (*name.split("."), "", "")[:3]
        if part in ("user", "score"):
            named[f"{part}.{2 * int(depth)}.{kind}"] = value.T if kind == "weight" else value
    return named
