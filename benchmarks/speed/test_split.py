"""Leave-one-out split of MovieLens-100K with its sampled candidates, and everybody's shard."""

import pytest
import torch

from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.experiment.prepare import PreparedExperiment


@pytest.mark.benchmark(group="split of MovieLens-100K", min_rounds=3)
def test_split(benchmark, prepared: PreparedExperiment) -> None:
    text = torch.zeros(prepared.split.n_users, 0)

    def split() -> ClientBatch:
        return build(leave_one_out(prepared.dataset.interactions), text)

    assert torch.equal(benchmark(split).items, prepared.batch.items)
