"""The client: the one function that reads a client's data in training, and what it lets out.

Simulation calls it with a chunk of clients, a phone with one, a silo with its users.
"""

from dataclasses import replace

import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import matrices
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, Report, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.upload import UploadSpec
from ufgraphfr.privacy.base import Mechanism


def respond(
    algorithm: Algorithm,
    mechanism: Mechanism,
    task: Task,
    batch: ClientBatch,
    private: Private,
    key: Key,
    upload: UploadSpec | None = None,
    apart: bool = False,
) -> tuple[Report, Private]:
    """Train locally and release what the mechanism lets through.

    Args:
        algorithm: both sides' arithmetic.
        mechanism: what may leave.
        task: the server's request for these clients.
        batch: their data, in the task's order.
        private: their weights, likewise; not modified.
        key: seed and round of all randomness.
        upload: how each client's update is bounded and compressed; None leaves it as it is.
        apart: keep the clients' replies apart even if the algorithm needs no more than their
            sum; replies that an algorithm sums while it trains are apart for one client at a time.

    Returns:
        The report, and the new private weights, both in the order of ``task.clients``.
    """
    if bool((batch.counts.diff() > 0).any()):
        return _sorted(algorithm, mechanism, task, batch, private, key, upload, apart)
    update, after = algorithm.local(task, batch, private, key)
    if mechanism.is_private and update.summed:
        raise InputError(
            f"{algorithm.kind} adds up its clients' updates before any of them is clipped: it has "
            f"no private form; choose another algorithm, or [privacy] kind = 'none'"
        )
    arrays = mechanism.privatize(update.arrays, task.clients, key)
    # a loss tells about its client's data, and no budget pays for it
    loss = torch.zeros_like(update.loss) if mechanism.is_private else update.loss
    if upload is not None and not update.summed:
        ready = upload.prepared(arrays, task.clients, key, matrices(algorithm, task))
        # what travels are the clients' own updates: their sum is no longer on the grid
        return Report(task.round, task.clients, ready, False, loss), after
    report = Report(task.round, task.clients, {**arrays}, update.summed, loss)
    return report if apart or algorithm.release == "per-client" else report.total(), after


def _sorted(
    algorithm: Algorithm,
    mechanism: Mechanism,
    task: Task,
    batch: ClientBatch,
    private: Private,
    key: Key,
    upload: UploadSpec | None,
    apart: bool,
) -> tuple[Report, Private]:
    """`respond` with the clients that have most interactions first, and back in their order."""
    order = batch.counts.argsort(descending=True, stable=True)
    back = order.argsort()
    mine = {name: value[order] for name, value in private.items()}
    ordered = task.select(order), batch.select(order), mine
    report, after = respond(algorithm, mechanism, *ordered, key, upload, apart)
    after = {name: value[back] for name, value in after.items()}
    if report.summed:
        return replace(report, clients=task.clients, loss=report.loss[back]), after
    return report.select(back), after
