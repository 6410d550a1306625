"""An algorithm of your own, ranking by what clients like: python examples/own_algorithm.py."""

from pathlib import Path

import torch

from ufgraphfr.algorithms.base import Algorithm, Update
from ufgraphfr.core.messages import Aggregation
from ufgraphfr.experiment import build, execute


class FedPopularity(Algorithm):
    aggregation = Aggregation.SUM  # the server needs no client's own counts

    def init_server(self, setting):
        return {"counts": torch.zeros(setting.items)}

    def local(self, task, batch, private, key):
        counts = torch.zeros(len(batch), batch.n_items)
        counts[torch.arange(len(batch)).repeat_interleave(batch.counts), batch.items] = 1
        return Update({"counts": counts}, loss=torch.zeros(len(batch))), private

    def aggregate(self, state, report):
        return {"counts": report.sums["counts"]}

    def score(self, task, inputs, private):
        return task.shared["counts"].expand(len(inputs), -1)


if __name__ == "__main__":
    kinds = {"data": "synthetic", "text": "hashing", "algorithm": "own_algorithm.FedPopularity"}
    experiment = build({table: {"kind": kind} for table, kind in kinds.items()})
    for step in execute(experiment, Path("runs/own-algorithm"), resume=True):
        print(step.round, step.validation)
