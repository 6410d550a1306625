"""What a run predicts for its test, row by row, in the columns that evaluation libraries read.

RecTools' and LensKit's tables of recommendations have the columns user_id, item_id, score and rank;
ranx makes runs of q_id, doc_id and score, and relevance judgements of q_id, doc_id and a score,
which is our target.
"""

from collections.abc import Iterator
from typing import Any

import torch

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.evaluation.protocol import scored
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment

OWN = ("user", "item", "score", "rank", "target")
COLUMNS = {
    "ufgraphfr": OWN,
    "rectools": ("user_id", "item_id", "score", "rank", "target"),
    "lenskit": ("user_id", "item_id", "score", "rank", "target"),
    "ranx": ("q_id", "doc_id", "score", "rank", "target"),
}
"""What the five columns are called."""


def predictions(
    run: Run, prepared: PreparedExperiment, n: int, columns: str = "ufgraphfr"
) -> Iterator[dict[str, Any]]:
    """The best items of every user that the test asks, from the input that the test gives.

    A user's targets are among the rows also if they rank lower, so that nothing else is needed to
    compute a metric at up to ``n``.

    Args:
        run: a finished run.
        prepared: its data.
        n: how many items of each user.
        columns: whose names, one of `COLUMNS`.
    """
    asked, catalogue = prepared.test, prepared.dataset.catalogue
    users, names = prepared.dataset.users.names, COLUMNS[columns]
    begin = 0
    for part, found in scored(run.score(prepared), asked.clients):
        scores, own = found.cpu().clone(), part.to(torch.device("cpu"))
        scores[owners(own.ptr, len(own.items)), own.items] = -torch.inf
        order = scores.argsort(dim=1, descending=True, stable=True)
        targets = asked.targets[begin : begin + len(own)].cpu()
        begin += len(own)
        is_target = torch.zeros(scores.shape, dtype=torch.bool)
        row, place = (targets >= 0).nonzero(as_tuple=True)
        is_target[row, targets[row, place]] = True
        hit = is_target.gather(1, order)
        left = scores.gather(1, order) > -torch.inf
        kept = (torch.arange(scores.shape[1]) < n) & left | hit
        client, rank = kept.nonzero(as_tuple=True)
        items = order[client, rank]
        values = (
            [users[each] for each in own.clients[client].tolist()],
            [catalogue.items[each] for each in items.tolist()],
            scores[client, items].tolist(),
            (rank + 1).tolist(),
            hit[client, rank].int().tolist(),
        )
        yield from (dict(zip(names, each, strict=True)) for each in zip(*values, strict=True))
