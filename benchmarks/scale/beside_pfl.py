"""Clients a second beside pfl-research's simulator: the same model, data and cohort, one thread.

    pip install --no-deps -r benchmarks/scale/requirements-pfl.txt
    OMP_NUM_THREADS=1 python benchmarks/scale/beside_pfl.py [--data-dir FOLDER]

in an environment of its own, which has this package. `fedmf` with its defaults on MovieLens-100K,
all 943 users in each round: one epoch over batches of 256, four fresh negatives for each
interaction, the pull towards the table that was sent, and the mean change of the item table at the
server. pfl's side is written as its documentation has it: `SimulatedBackend`, `FederatedAveraging`
with user state in memory, nothing evaluated, no postprocessors. Rounds take turns in one process;
CPU seconds, the median of ``--rounds``.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from loop import stacked
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.data.sampling import get_user_sampler
from pfl.data.user_state import InMemoryUserStateStorage
from pfl.hyperparam import NNTrainHyperParams
from pfl.model.pytorch import PyTorchModel
from torch import Tensor, nn

from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.experiment.config import build
from ufgraphfr.experiment.prepare import prepare


class Factors(nn.Module):
    """A table, one user's vector, and the loss of `fedmf`."""

    def __init__(self, spec: FedMF, sent: Tensor) -> None:
        """Start from a table that was sent."""
        super().__init__()
        self.table, self.user = nn.Parameter(sent.clone()), nn.Parameter(torch.zeros(sent.shape[1]))
        self.sent, self.pull = sent, spec.pull

    def loss(self, item: Tensor, label: Tensor) -> Tensor:
        """Of a batch."""
        found = F.binary_cross_entropy_with_logits(F.embedding(item, self.table) @ self.user, label)
        return found + self.pull * (self.table - self.sent).square().mean()

    def metrics(self, *_: Tensor) -> dict[str, Any]:
        """None is asked for."""
        return {}


class Stateful(FederatedAveraging):
    """Federated averaging of the table; a user's vector stays with it."""

    def __init__(self, storage: InMemoryUserStateStorage) -> None:
        """With the users' vectors."""
        super().__init__()
        self.storage = storage

    def train_one_user(
        self, initial_model_state: Any, model: Any, user_dataset: Any, central_context: Any
    ) -> Any:
        """As `FederatedAveraging`, between loading and saving the vector."""
        factors = model.pytorch_model
        with torch.no_grad():
            factors.user.copy_(self.storage.load_state(user_dataset.user_id)["user"])
        found = super().train_one_user(initial_model_state, model, user_dataset, central_context)
        state = {"user": factors.user.detach().clone()}
        self.storage.save_state(state, user_dataset.user_id)
        found[0]["user"].zero_()
        return found


class Simulator:
    """pfl's side."""

    def __init__(self, spec: FedMF, sent: Tensor, users: Tensor, batch: ClientBatch) -> None:
        """Everybody's rows and vectors."""
        self.spec, self.sent, self.storage = spec, sent, InMemoryUserStateStorage()
        for user, vector in enumerate(users):
            self.storage.save_state({"user": vector}, user)
        self.items = [own.numpy() for own in batch.items.split(batch.counts.tolist())]
        sampler = get_user_sampler("minimize_reuse", list(range(len(batch))))
        data = FederatedDataset(self._rows, sampler)
        self.backend = SimulatedBackend(training_data=data, val_data=data)
        self.random = np.random.default_rng(0)

    def _rows(self, user: int) -> PyTorchTensorDataset:
        """A user's interactions with fresh negatives, shuffled."""
        own = self.items[user]
        others = np.ones(len(self.sent), bool)
        others[own] = False
        rivals = np.flatnonzero(others)
        item = np.concatenate((own, self.random.choice(rivals, len(own) * self.spec.negatives)))
        label = (np.arange(len(item)) < len(own)).astype(np.float32)
        order = self.random.permutation(len(item))
        tensors = tuple(torch.from_numpy(each[order]) for each in (item, label))
        return PyTorchTensorDataset(tensors, user_id=user)

    def _optimiser(self, parameters: Any, lr: float) -> torch.optim.Optimizer:
        table, user = parameters
        spec = self.spec
        groups = [
            {"params": [table], "lr": lr * len(table) * spec.row_scale},
            {"params": [user], "lr": lr * spec.user_scale},
        ]
        return torch.optim.SGD(groups)

    def round(self) -> Tensor:
        """The table after a round of everybody."""
        factors = Factors(self.spec, self.sent)
        central = torch.optim.SGD(factors.parameters(), lr=1.0)
        model = PyTorchModel(factors, self._optimiser, central)
        algorithm = NNAlgorithmParams(
            central_num_iterations=1,
            # the first round is evaluated whatever is asked for, so it is called the second
            evaluation_frequency=2,
            train_cohort_size=len(self.items),
            val_cohort_size=None,
        )
        training = NNTrainHyperParams(
            local_num_epochs=1,
            local_learning_rate=self.spec.lr,
            local_batch_size=self.spec.batch_size,
        )
        averaging = Stateful(self.storage)
        (context,), _, _ = averaging.get_next_central_contexts(model, 2, algorithm, training)
        found, metrics = self.backend.gather_results(
            model=model, training_algorithm=averaging, central_context=context
        )
        averaging.process_aggregated_statistics(context, metrics, model, found)
        return factors.table.detach()


def main() -> None:
    """Both in turns, and their quotient."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    experiment = build({"data": {"kind": "ml-100k"}, "algorithm": {"kind": "fedmf"}})
    prepared = prepare(experiment, given.data_dir)
    spec = experiment.model
    assert isinstance(spec, FedMF)
    sent, batch = spec.init_table(prepared.setting), prepared.batch
    other = Simulator(spec, sent, spec.init_user(prepared.setting, batch), batch)
    everybody = torch.arange(len(batch))
    ways = {
        "pfl": other.round,
        "stacked": lambda: stacked(experiment, prepared, sent, everybody),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    moved = {}
    for _ in range(given.rounds):
        for name, way in ways.items():
            before = time.process_time()
            norm = (way() - sent).norm().item()
            seconds[name].append(time.process_time() - before)
            # pfl's users go on with their vectors, so the first rounds alone are alike
            moved.setdefault(name, norm)
    found = {name: statistics.median(each) for name, each in seconds.items()}
    print(
        json.dumps(
            {
                "clients": len(batch),
                "cpu_seconds_a_round": {name: round(each, 3) for name, each in found.items()},
                "all": {name: [round(one, 3) for one in each] for name, each in seconds.items()},
                "times": round(found["pfl"] / found["stacked"], 1),
                "norm_of_the_change": {name: round(each, 4) for name, each in moved.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
