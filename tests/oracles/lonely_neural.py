"""One client of neural collaborative filtering: torch's layers, a whole item table, plain SGD."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ufgraphfr.algorithms.pointwise.neural import NeuralClient
from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.epochs import epoch_samples


class LonelyNeural(nn.Module):
    """Its user vector, score MLP and item table; ``scorer`` holds the MLP's initial weights."""

    def __init__(self, user: Tensor, scorer: dict[str, Tensor], items: Tensor) -> None:
        super().__init__()
        self.user, self.items = nn.Parameter(user.clone()), nn.Parameter(items.clone())
        dim = len(user)
        widths = [(2 * dim, dim), (dim, dim // 2), (dim // 2, dim // 4), (dim // 4, 1)]
        self.layers = nn.ModuleList(nn.Linear(*width) for width in widths)
        for depth, layer in enumerate(self.layers):
            layer.weight.data = scorer[f"score.{depth}.weight"].T.clone()
            layer.bias.data = scorer[f"score.{depth}.bias"].clone()

    def forward(self, item: Tensor) -> Tensor:
        x = torch.cat((self.user.expand(len(item), -1), self.items[item]), dim=1)
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x).squeeze(1)

    def scorer(self) -> dict[str, Tensor]:
        named = {}
        for depth, layer in enumerate(self.layers):
            named[f"score.{depth}.weight"] = layer.weight.detach().T
            named[f"score.{depth}.bias"] = layer.bias.detach()
        return named


def train_alone(
    client: LonelyNeural, algorithm: NeuralClient, one: ClientBatch, key: Key, anchor: Tensor
) -> None:
    """The local epochs of one client, its item table pulled to ``anchor``."""
    lr = algorithm.lr
    groups = [
        {"params": client.layers.parameters(), "lr": lr},
        {"params": [client.user], "lr": lr * algorithm.user_scale},
        {"params": [client.items], "lr": lr * one.n_items * algorithm.row_scale},
    ]
    optimiser = torch.optim.SGD(groups)
    size = algorithm.batch_size
    for epoch in range(algorithm.local_epochs):
        samples = epoch_samples(one, key, algorithm.negatives, epoch)
        both = samples.item[0].split(size), samples.positive[0].split(size)
        for item, label in zip(*both, strict=True):
            optimiser.zero_grad()
            entropy = F.binary_cross_entropy_with_logits(client(item), label)
            (entropy + algorithm.pull * (client.items - anchor).square().mean()).backward()
            optimiser.step()
