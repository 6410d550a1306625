"""Leave-one-out split of MovieLens-100K with its sampled candidates, and everybody's shard."""

import pytest
import torch

from ufgraphfr.data.shards import Shard, build
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.experiment.prepare import Prepared


@pytest.mark.benchmark(group="split of MovieLens-100K", min_rounds=3)
def test_split(benchmark, prepared: Prepared) -> None:
    text = torch.zeros(len(prepared.dataset.users), 0)

    def split() -> Shard:
        return build(leave_one_out(prepared.dataset), text)

    assert torch.equal(benchmark(split).items, prepared.shard.items)
