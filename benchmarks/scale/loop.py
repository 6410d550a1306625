"""Clients a second beside a loop of the usual kind: a model, an optimiser and a DataLoader each.

    python benchmarks/scale/loop.py [--users 10000] [--items 2000] [--cohort 500]

Both train `fedmf` with its defaults on the same cohort of a generated population: one epoch over
batches of 256, four fresh negatives for each interaction, the pull towards the table that was sent,
and the mean change of the item table at the server. CPU seconds of one thread.
"""

import argparse
import json
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import combine, gather
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.prepare import PreparedExperiment, arranged
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.private_state import private_state
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.privacy.none import NoMechanism


def one_client(model: FedMF, sent: Tensor, user: Tensor, own: np.ndarray) -> tuple[Tensor, Tensor]:
    """A client's item table and vector after an epoch, as one writes it for one device."""
    items = len(sent)
    rivals = np.setdiff1d(np.arange(items), own)
    negatives = np.random.default_rng(0).choice(rivals, len(own) * model.negatives)
    item = torch.from_numpy(np.concatenate((own, negatives)))
    label = torch.zeros(len(item))
    label[: len(own)] = 1
    table, vector = nn.Parameter(sent.clone()), nn.Parameter(user.clone())
    groups = [
        {"params": [table], "lr": model.lr * items * model.row_scale},
        {"params": [vector], "lr": model.lr * model.user_scale},
    ]
    optimiser = torch.optim.SGD(groups)
    for places, positive in DataLoader(TensorDataset(item, label), model.batch_size, shuffle=True):
        loss = F.binary_cross_entropy_with_logits(table[places] @ vector, positive)
        loss = loss + model.pull * (table - sent).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return table.detach(), vector.detach()


def in_a_loop(model: FedMF, sent: Tensor, users: Tensor, batch: ClientBatch) -> Tensor:
    """A round client after client."""
    change = torch.zeros_like(sent)
    for user, own in zip(users, batch.items.split(batch.counts.tolist()), strict=True):
        change += one_client(model, sent, user, own.numpy())[0] - sent
    return sent + change / len(batch)


def stacked(
    experiment: Experiment, prepared: PreparedExperiment, sent: Tensor, cohort: Tensor
) -> Tensor:
    """The same round by this package's simulation."""
    model = experiment.model
    assert isinstance(model, FedMF)
    private = model.init_private(prepared.setting, prepared.batch.with_own_text())
    store = private_state(model, prepared.setting, private)
    client = Client(model, NoMechanism())
    simulation = Simulation(client, prepared.batch, store, experiment.federation.chunk)
    key, reports = Key(0).at(1), []
    for some in simulation.chunks(cohort, 1):
        task = model.broadcast({"items": sent}, some, 1)
        reports.append(simulation.answer(task, key))
        gather(reports)
    return model.aggregate({"items": sent}, combine(reports).total())["items"]


def main() -> None:
    """Both, three times each, and their quotient."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--cohort", type=int, default=500)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = {"kind": "synthetic", "users": given.users, "items": given.items, "groups": 20}
    data |= {"interactions": 50, "popularity": 1.0}
    text = {"kind": "hashing", "width": 64}
    experiment = build({"data": data, "text": text, "algorithm": {"kind": "fedmf"}})
    prepared = arranged(experiment, experiment.source.load())
    model = experiment.model
    assert isinstance(model, FedMF)
    cohort = torch.randperm(given.users, generator=torch.Generator().manual_seed(0))[: given.cohort]
    cohort = cohort.sort().values
    sent, batch = model.init_table(prepared.setting), prepared.batch.select(cohort)
    users = model.init_user(prepared.setting, batch)
    ways = {
        "loop": lambda: in_a_loop(model, sent, users, batch),
        "stacked": lambda: stacked(experiment, prepared, sent, cohort),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    moved = {}
    for _ in range(3):
        for name, way in ways.items():
            before = time.process_time()
            moved[name] = (way() - sent).norm().item()
            seconds[name].append(time.process_time() - before)
    found = {name: given.cohort / sorted(each)[1] for name, each in seconds.items()}
    print(
        json.dumps(
            {
                "clients": given.cohort,
                "clients_a_cpu_second": {name: round(each, 1) for name, each in found.items()},
                "times": round(found["stacked"] / found["loop"], 1),
                "norm_of_the_change": {name: round(each, 4) for name, each in moved.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
