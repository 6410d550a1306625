"""An algorithm of your own, ranking by what clients like: python examples/own_algorithm.py.

That checks it. To train it, from any folder: ufgraphfr run examples/own_algorithm.toml
"""

import torch

from ufgraphfr import Aggregation, Algorithm, Update
from ufgraphfr.testing import check_algorithm


class FedPopularity(Algorithm):
    """Sums of what clients like; four methods are all that an algorithm needs."""

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
    # everybody gets the same list, and nothing is drawn
    check_algorithm(FedPopularity, learns=False, draws=False)
    print("FedPopularity keeps what every algorithm owes")
