"""No mechanism lets everything through as it is."""

import torch

from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, per_client
from ufgraphfr.privacy import MECHANISMS


def test_nothing_is_changed_on_either_side() -> None:
    mechanism = MECHANISMS.build("none", {}, "[privacy]")
    clients = torch.tensor([3, 5])
    arrays = per_client({"joint": torch.ones(2, 4), "items": Rows.of(torch.eye(6).view(2, 3, 6))})
    assert mechanism.privatize(arrays, clients, Key(0)) is arrays
    report = Report(1, clients, arrays, Aggregation.PER_CLIENT, loss=torch.zeros(2))
    assert mechanism.finalize(report, Key(0)) is report
    assert mechanism.guarantee == "no privacy guarantee"
