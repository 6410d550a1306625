"""What the server expects of a round's clients: it asks one that it made up, and looks."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.capabilities import matrices
from ufgraphfr.core.arrays.protocol import ArraySpec
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.client import Client, Request, TaskKind, task_kind
from ufgraphfr.federation.upload import UploadSpec
from ufgraphfr.federation.validation.check import ReplySpec


@dataclass(frozen=True)
class Validation:
    """Knows what to expect of a client by running it on data that are nobody's.

    It does so once for each kind of task (`task_kind`); what changes from round to round is worked
    out from what was learnt then.

    Attributes:
        client: what the clients run.
        setting: the federation.
        sum_upload: how data holders compress the sum over their clients; None if they do not, or
            if there are none.
        noised: whether data holders add noise to their sums.
        norm_cap, row_cap: as of `ReplySpec`; only where clients clip themselves, or an honest
            reply could be refused.
    """

    client: Client
    setting: Setting
    sum_upload: UploadSpec | None = None
    noised: bool = False
    norm_cap: float | None = None
    row_cap: float | None = None
    _learnt: dict[TaskKind, dict[str, ArraySpec]] = field(
        default_factory=dict, init=False, compare=False
    )

    def expected(self, task: Task, clients: Tensor) -> ReplySpec:
        """What clients who are sent tasks like this one must reply.

        Args:
            task: of one client, the first of ``clients``.
            clients: int64 ``[clients]``, everybody who is asked.
        """
        algorithm = self.client.algorithm
        kind = task_kind(task, algorithm)
        if kind not in self._learnt:
            self._learnt[kind] = self._specs(task)
        upload = self.sum_upload or self.client.upload
        specs = self._learnt[kind]
        found = ReplySpec(
            round=task.round,
            clients=clients,
            aggregation=task.aggregation,
            arrays=specs if upload is None else upload.redrawn(specs, self._key(task)),
            norm_cap=self.norm_cap or self.client.mechanism.upload_norm_bound(task.round),
            row_cap=self.row_cap,
            algorithm=algorithm,
            setting=self.setting,
        )
        return found.noised() if self.noised else found

    def _specs(self, task: Task) -> dict[str, ArraySpec]:
        """The forms of a made-up client's arrays."""
        batch = _made_up(task, self.setting)
        private = self.client.algorithm.init_private(self.setting, batch)
        report, _ = self.client.respond(Request(task, batch, private, self._key(task)))
        if self.sum_upload is not None:
            held = matrices(self.client.algorithm, task)
            report = self.sum_upload.of_sum(report, 0, self._key(task), held)
        return {name: value.spec for name, value in report.arrays.items()}

    def _key(self, task: Task) -> Key:
        """Its seed draws which blocks travel."""
        return Key(self.setting.seed, task.round)


def _made_up(task: Task, setting: Setting) -> ClientBatch:
    """A client that does not exist, with three items; its data are nobody's."""
    items = torch.arange(min(3, setting.items), device=task.clients.device)
    ptr = torch.tensor([0, len(items)], device=items.device)
    text = torch.full((1, setting.text_width), 1.0, device=items.device)
    text /= max(1, setting.text_width) ** 0.5
    return ClientBatch(task.clients, ptr, items, ptr, items, text, setting.items)
