"""How far an exported model is from the run that it was made of, on users of the run."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.protocol import scored
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment

USERS, LISTED = 500, 10


@dataclass(frozen=True)
class Cost:
    """What it costs to rank with the file.

    Attributes:
        users: on whom it was measured.
        largest: the largest difference of a score.
        overlap: the share of each user's ten best items that is also among its ten best.
    """

    users: int
    largest: float
    overlap: float


def session(content: bytes) -> onnxruntime.InferenceSession:
    """A model that is ready to be asked, on one core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options)


def given(asked: onnxruntime.InferenceSession, client: ClientBatch) -> dict[str, NDArray[Any]]:
    """What a file is given of one client: history, profile and, where it asks, the time away."""
    away = torch.zeros(1) if client.away is None else client.away.float()
    all_of_it = {"history": client.items, "profile": client.text[0], "away": away}
    return {each.name: all_of_it[each.name].numpy() for each in asked.get_inputs()}


def cost(content: bytes, run: Run, prepared: PreparedExperiment) -> Cost:
    """Ask file and run for the same users, evenly from all, with their whole histories."""
    split, asked = prepared.split, session(content)
    whole = torch.from_numpy(split.history_ptr), torch.from_numpy(split.history)
    everybody = prepared.batch.with_history(*whole)
    count = min(USERS, len(everybody))
    some = everybody.select(torch.arange(count) * len(everybody) // count)
    largest, shared = 0.0, 0.0
    for part, exact in scored(run.score(prepared), some):
        each = (part.select(torch.tensor([place])) for place in range(len(part)))
        told = [asked.run(["scores"], given(asked, own)) for own in each]
        found = torch.from_numpy(np.stack([each[0] for each in told]))
        largest = max(largest, float((found - exact).abs().max()))
        best = []
        for scores in (exact, found):
            scores[owners(part.ptr, len(part.items)), part.items] = -torch.inf
            best.append(scores.topk(min(LISTED, scores.shape[1])).indices)
        same = (best[0][:, :, None] == best[1][:, None, :]).any(2)
        shared += float(same.float().mean(1).sum())
    return Cost(count, largest, shared / count)
