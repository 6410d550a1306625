"""A simulation's outbox: a noised sum is kept, then paid for, then released.

Killed before the payment, the sum waits and is paid for then; killed after it, the very same sum
is released. So no round that was paid for is lost, and none is noised twice, as with the outbox of
a shard's agent.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, one_row
from ufgraphfr.core.workers import workers
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
from ufgraphfr.privacy.accounted.registry import Registry
from ufgraphfr.privacy.base import Arrays, Mechanism

HEAD = "outbox"


@dataclass(frozen=True)
class _Kept:
    """What the file holds.

    Attributes:
        round: of the sum.
        clip: C before it was formed, which the payment names.
        next_clip: C after it, which may have adapted.
        sums: the noised sums.
        digest: of the file.
    """

    round: int
    clip: float
    next_clip: float
    sums: Mapping[str, Tensor]
    digest: str


class Outbox(Mechanism):
    """Noised sums that are kept in a file until the next one; see the head of this file."""

    is_private: ClassVar[bool] = True

    def __init__(self, inner: NoisedSums, path: Path, registry: Registry | None) -> None:
        """Goes on where the file says.

        Args:
            inner: the calibrated mechanism.
            path: the file, of the last sum alone.
            registry: told of each payment.
        """
        self._inner, self._path, self._registry = inner, path, registry
        self._kept = _read(path)
        if self._kept is not None and self._paid(self._kept):
            inner.resume(self._kept.round, self._kept.next_clip)

    def first_after(self, done: int) -> int:
        """The next round after those that are done; one that was paid for and is nowhere is lost.

        Only what an older release began, or a folder of which somebody has removed files, has such.
        """
        if self._of(done + 1) is not None or self._inner.may_release(done + 1):
            return done + 1
        return max(done, self._inner.ledger.last_round) + 1

    def upload_norm_bound(self, round_number: int) -> float | None:
        """See `Mechanism.upload_norm_bound`."""
        return self._inner.upload_norm_bound(round_number)

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`."""
        return self._inner.privatize(arrays, clients, key)

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`: noise, keep, pay; or what was kept before.

        Raises:
            BudgetSpent: the ledger refuses.
        """
        inner, group = self._inner, workers()
        # noise is drawn once, whoever shares the work; each worker's ledger has the payment
        kept = group.once(lambda: self._of(key.round) or self._formed(report, key))
        if inner.ledger.last_round < key.round:
            inner.pay(key.round, clip=kept.clip, reply=kept.digest)
        if self._registry is not None and group.is_first:
            self._registry.note(inner.ledger)
        inner.resume(key.round, kept.next_clip)
        sums = {name: value.to(report.loss.device) for name, value in kept.sums.items()}
        return replace(inner.of_expected(report, key.round), arrays=one_row(sums))

    def _formed(self, report: Report, key: Key) -> _Kept:
        """The noised sum, kept before it is paid for."""
        inner = self._inner
        inner.check(key.round)
        clip = inner.clip_of(inner.part(key.round))
        return self._keep(key.round, clip, inner.noised(report, key))

    def _keep(self, round_number: int, clip: float, noised: Report) -> _Kept:
        sums = {name: value.detach().cpu().contiguous() for name, value in noised.sums.items()}
        next_clip = self._inner.clip_of(self._inner.part(round_number))
        facts = {"round": round_number, "clip": clip, "next_clip": next_clip}
        data = save(sums, metadata={HEAD: json.dumps(facts)})
        write_atomically(self._path, data, sync=True)
        digest = hashlib.sha256(data).hexdigest()
        self._kept = _Kept(round_number, clip, next_clip, sums, digest)
        return self._kept

    def _of(self, round_number: int) -> _Kept | None:
        """What is kept of a round, if nothing else was paid for in it."""
        kept = self._kept
        if kept is None or kept.round != round_number:
            return None
        unpaid = self._inner.ledger.last_round < round_number
        return kept if unpaid or self._paid(kept) else None

    def _paid(self, kept: _Kept) -> bool:
        """Whether this very sum is paid for; a device's own payment names none."""
        paid = (s for s in self._inner.ledger.spends if s["round"] == kept.round)
        return any(spend.get("reply", kept.digest) == kept.digest for spend in paid)


def _read(path: Path) -> _Kept | None:
    """What is kept, if it can be read whole."""
    try:
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        facts = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][HEAD])
        return _Kept(**facts, sums=load(data), digest=hashlib.sha256(data).hexdigest())
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
