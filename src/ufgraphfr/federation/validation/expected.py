"""What the server expects of a round's clients: it asks one that it made up, and looks."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import asks_all_clients, matrices
from ufgraphfr.core.arrays.low_rank import LowRank
from ufgraphfr.core.arrays.quantised import Quantised
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, Task, Uploaded
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.client import respond
from ufgraphfr.federation.defences.base import Defence
from ufgraphfr.federation.upload import UploadSpec
from ufgraphfr.federation.validation.check import ArraySpec, ReplySpec
from ufgraphfr.privacy.base import Mechanism


@dataclass(frozen=True)
class Border:
    """Knows what to expect of a client by asking itself.

    Attributes:
        algorithm, mechanism, setting: what the clients run.
        upload: how clients compress.
        holders: whether a reply is the sum over the clients of one data holder.
        defence: bounds what few clients can do, where replies arrive one by one; None where
            they arrive summed.
        norm_cap, row_cap: as of `ReplySpec`; only where clients clip themselves, or an honest
            reply could be refused.
    """

    algorithm: Algorithm
    mechanism: Mechanism
    setting: Setting
    defence: Defence | None = None
    upload: UploadSpec | None = None
    holders: bool = False
    norm_cap: float | None = None
    row_cap: float | None = None

    def expected(self, task: Task, clients: Tensor) -> ReplySpec:
        """What clients who are sent tasks like this one must reply.

        Args:
            task: of one client, the first of ``clients``.
            clients: int64 ``[clients]``, everybody who is asked.
        """
        apart = self.defence is not None and not asks_all_clients(self.algorithm, task.round)
        invented = _invented(task, self.setting)
        private = self.algorithm.init_private(self.setting, invented)
        # its seed draws which blocks travel
        key = Key(self.setting.seed, task.round)
        own = None if self.holders else self.upload
        algorithm = self.algorithm.apart() if apart or own is not None else self.algorithm
        specimen, _ = respond(algorithm, self.mechanism, task, invented, private, key, own, apart)
        specimen = specimen.apart() if apart else specimen
        if self.holders and self.upload is not None:
            specimen = self.upload.of_sum(specimen, 0, key, matrices(self.algorithm, task))
        return ReplySpec(
            round=task.round,
            clients=clients,
            summed=specimen.summed,
            arrays={name: _form(value, specimen.summed) for name, value in specimen.arrays.items()},
            loss=bool(specimen.loss.isfinite().all()),
            norm_cap=self.norm_cap or self.mechanism.upload_norm_bound(task.round),
            row_cap=self.row_cap,
            algorithm=self.algorithm,
            setting=self.setting,
        )

    def defended(self, report: Report) -> Report:
        """What the server makes of the replies it let in."""
        if self.defence is None or report.summed:
            return report
        arrays: dict[str, Uploaded] = {
            name: value.dense() if isinstance(value, Quantised | LowRank) else value
            for name, value in report.arrays.items()
        }
        kept = self.defence.combine(replace(report, arrays=arrays), self.algorithm, self.setting)
        return kept.total() if self.algorithm.release == "sum" else kept


def _form(value: Uploaded, summed: bool) -> ArraySpec:
    if isinstance(value, LowRank):
        # its numbers have a row for each client, and are never sums of those
        return replace(_form(value.numbers, summed=False), layout=value.layout)
    if isinstance(value, Quantised):
        return ArraySpec(False, True, value.shape, bits=value.bits, blocks=value.blocks)
    values = value.values if isinstance(value, Rows) else value
    floating = values.is_floating_point()
    # counts of one client are sent in a byte or two, grids of clipped updates in eight
    signed = floating or values.dtype == torch.int64
    if isinstance(value, Rows):
        return ArraySpec(True, floating, (value.height, values.shape[1]), signed, values.dtype)
    shape = values.shape if summed else values.shape[1:]
    return ArraySpec(False, floating, tuple(shape), signed, values.dtype)


def _invented(task: Task, setting: Setting) -> ClientBatch:
    """A client that does not exist, with three items; its data are nobody's."""
    items = torch.arange(min(3, setting.items), device=task.clients.device)
    ptr = torch.tensor([0, len(items)], device=items.device)
    text = torch.full((1, setting.text_width), 1.0, device=items.device)
    text /= max(1, setting.text_width) ** 0.5
    return ClientBatch(task.clients, ptr, items, ptr, items, text, setting.items)
