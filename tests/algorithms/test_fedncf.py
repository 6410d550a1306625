"""Stacked clients and sums of changes against one client at a time, with torch's own layers."""

import pytest
import torch
import torch.nn.functional as F
from made_shards import made_shard
from torch import Tensor, nn

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.fedncf import FedNCF
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report
from ufgraphfr.core.rows import Rows
from ufgraphfr.core.spec import parse
from ufgraphfr.data.epochs import epoch_samples
from ufgraphfr.data.shards import Shard

ITEMS, DIM, SEED = 60, 16, 4
SHARD = made_shard([25, 18, 9, 9, 3, 1], ITEMS)
SETTING = Setting(ITEMS, clients=40, text_width=5, seed=SEED)
KEY = Key(SEED).at(2)
SMALL = {"dim": DIM, "batch_size": 32, "lr": 0.5, "row_scale": 4.0, "user_scale": 6.0}


def made(**values: object) -> FedNCF:
    return parse(FedNCF, SMALL | values, "[algorithm]")


class Alone(nn.Module):
    """One client: its user vector, a copy of the score MLP and of the item table."""

    def __init__(self, user: Tensor, shared: dict[str, Tensor]) -> None:
        super().__init__()
        self.user = nn.Parameter(user.clone())
        self.items = nn.Parameter(shared["items"].clone())
        widths = [(2 * DIM, DIM), (DIM, DIM // 2), (DIM // 2, DIM // 4), (DIM // 4, 1)]
        self.layers = nn.ModuleList(nn.Linear(*width) for width in widths)
        for depth, layer in enumerate(self.layers):
            layer.weight.data = shared[f"score.{depth}.weight"].T.clone()
            layer.bias.data = shared[f"score.{depth}.bias"].clone()

    def forward(self, item: Tensor) -> Tensor:
        x = torch.cat((self.user.expand(len(item), -1), self.items[item]), dim=1)
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x).squeeze(1)

    def shared(self) -> dict[str, Tensor]:
        named = {"items": self.items.detach()}
        for depth, layer in enumerate(self.layers):
            named[f"score.{depth}.weight"] = layer.weight.detach().T
            named[f"score.{depth}.bias"] = layer.bias.detach()
        return named


def train_alone(client: Alone, algorithm: FedNCF, one: Shard) -> None:
    start, lr = client.items.detach().clone(), algorithm.lr
    groups = [
        {"params": client.layers.parameters(), "lr": lr},
        {"params": [client.user], "lr": lr * algorithm.user_scale},
        {"params": [client.items], "lr": lr * ITEMS * algorithm.row_scale},
    ]
    optimiser = torch.optim.SGD(groups)
    for epoch in range(algorithm.local_epochs):
        samples = epoch_samples(one, KEY, algorithm.negatives, epoch)
        both = samples.item[0].split(32), samples.positive[0].split(32)
        for item, label in zip(*both, strict=True):
            optimiser.zero_grad()
            entropy = F.binary_cross_entropy_with_logits(client(item), label)
            (entropy + algorithm.pull * (client.items - start).square().mean()).backward()
            optimiser.step()


@pytest.mark.parametrize("values", [{}, {"local_epochs": 2}, {"pull": 0.0}, {"server_lr": 2.0}])
def test_a_round_is_the_mean_of_what_each_would_do_alone(values: dict[str, object]) -> None:
    algorithm = made(**values)
    # larger weights than the first ones, so that every layer has something to learn
    state = {k: 3 * v for k, v in algorithm.init_server(SETTING).items()}
    private = {k: 3 * v for k, v in algorithm.init_private(SETTING, SHARD).items()}
    task = algorithm.broadcast(state, SHARD.clients, KEY.round)
    update, after = algorithm.local(task, SHARD, private, KEY)
    report = Report(KEY.round, SHARD.clients, update.arrays, False, update.loss).total()
    new = algorithm.aggregate(state, report)
    change = {name: torch.zeros_like(value) for name, value in state.items()}
    for place in range(len(SHARD)):
        client = Alone(private["user"][place], state)
        train_alone(client, algorithm, SHARD.select(torch.tensor([place])))
        torch.testing.assert_close(after["user"][place], client.user.data, atol=2e-5, rtol=1e-4)
        for name, value in client.shared().items():
            own = update.arrays[name]
            own = own.dense() if isinstance(own, Rows) else own
            torch.testing.assert_close(own[place], value - state[name], atol=2e-5, rtol=1e-3)
            change[name] += value - state[name]
    for name, value in state.items():
        expected = value + algorithm.server_lr * change[name] / len(SHARD)
        torch.testing.assert_close(new[name], expected, atol=2e-5, rtol=1e-4)
        assert not torch.equal(new[name], value), name


def test_only_the_user_vector_stays_home() -> None:
    algorithm = made()
    assert algorithm.init_private(SETTING, SHARD).keys() == {"user"}
    users = algorithm.init_private(SETTING, SHARD)["user"]
    assert len(users.unique(dim=0)) == len(SHARD)


def test_ranking_takes_the_servers_table_and_mlp() -> None:
    algorithm = made()
    state = algorithm.init_server(SETTING)
    private = algorithm.init_private(SETTING, SHARD)
    scores = algorithm.score(algorithm.evaluated(state, SHARD.clients, 1), SHARD, private)
    for place, user in enumerate(private["user"]):
        expected = Alone(user, state)(torch.arange(ITEMS)).detach()
        torch.testing.assert_close(scores[place], expected)
