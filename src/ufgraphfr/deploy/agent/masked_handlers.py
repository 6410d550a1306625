"""An agent whose sums leave under masks: with the other nodes' they add up to a total, alone never.

What the masks are bound to comes from the agreement and from the request; a server that tells nodes
different things gets sums that do not add up, and learns nothing. A round that lost a node is asked
for again of those that are left, as another attempt with pads and noise of its own, once each of
them has confirmed to each other that these are the nodes; the ledger pays for each attempt.
"""

import hmac
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report
from ufgraphfr.data.split import HeldOut
from ufgraphfr.deploy.agent.answers import Refused, Restored
from ufgraphfr.deploy.agent.handlers import Handlers, Holding
from ufgraphfr.deploy.agent.pad_book import PadBook
from ufgraphfr.deploy.agreement.guarantee import ShardMechanism
from ufgraphfr.deploy.agreement.masked import (
    FIRST,
    MaskedShard,
    least_nodes,
    reserve,
    tolerated,
)
from ufgraphfr.deploy.wire import pads
from ufgraphfr.deploy.wire.message import Envelope
from ufgraphfr.deploy.wire.pads import PadUse
from ufgraphfr.deploy.wire.payload import encode_arrays
from ufgraphfr.privacy.accounted.gaussian import whole_sums
from ufgraphfr.privacy.accounted.secure_sum import share
from ufgraphfr.privacy.secure_sum import STEP, SecureSum

CLIENTS = "clients"
"""The part of a masked reply that says whose data are in it."""


class MaskedHandlers(Handlers):
    """See `Handlers`; training replies, and metrics that are paid for, are masked."""

    def __init__(self, holding: Holding, folder: Path, name: str) -> None:
        """Takes also the shard's folder, which holds the pad key, and the name of the node.

        Raises:
            InputError: the folder holds another key than the one that was agreed on.
        """
        super().__init__(holding)
        if isinstance(self.mechanism, ShardMechanism):
            self.mechanism = MaskedShard(self.mechanism.sums)
        self._name, self._book = name, PadBook(folder)
        self._key = self._book.key(self.agreement.pad_keys[name])

    def hello(self, request: Envelope) -> Envelope:
        """See `Handlers.hello`; the epoch of the pads holds for the run."""
        reply = super().hello(request)
        return replace(reply, facts=reply.facts | {"pads": self._book.epoch})

    def train(self, request: Envelope) -> Envelope:
        """See `Handlers.train`; refused before anybody trains if the pads are not fresh."""
        use = self._use(request)
        self._book.check_unused(use)
        if use.attempt > FIRST:
            self._book.check_follows(use, _asked(request))
            self._check_confirmed(use, request.facts["secure"].get("confirmed"))
        if isinstance(self.mechanism, MaskedShard):
            self.mechanism.attempt = use.attempt
        return super().train(request)

    def repeats(self, request: Envelope) -> bool:
        """See `Handlers.repeats`; `train` checks the attempt."""
        return self._use(request).attempt > FIRST

    def confirm(self, request: Envelope) -> Envelope:
        """Tell each other node of a later attempt that its list of nodes is known here.

        Of one attempt one list is confirmed, and none after the attempt was answered.
        """
        use = self._use(replace(request, kind="train"))
        if use.attempt == FIRST:
            raise Refused("the first attempt at a round is confirmed by its pads")
        listed = replace(use, kind="confirm")
        if not self._book.noted(listed):
            assert isinstance(self.mechanism, MaskedShard)
            self.mechanism.check(use.round, use.attempt)
            self._book.check_follows(use, "")
        self._book.note(listed, b"", "")
        said = {
            other: pads.confirmation(listed, self._name, other, self._key, peer)
            for other, peer in self._others(use)
        }
        return request.reply(facts={"confirms": said})

    def evaluate(self, request: Envelope, part: HeldOut) -> Envelope:
        """See `Handlers.evaluate`; likewise."""
        if self.agreement.metrics == "noised":
            use = self._use(request)
            if use.attempt != FIRST:
                raise Refused("the test's metrics leave once")
            self._book.check_unused(use)
            assert isinstance(self.mechanism, MaskedShard)
            self.mechanism.attempt = FIRST
        return super().evaluate(request, part)

    def encoded(self, request: Envelope, report: Report) -> bytes:
        """A report as it leaves: each number with its share of noise, under a mask."""
        use = self._use(request)
        sums, width = self._in_steps(report, len(use.epochs)), self._width(report.round)
        names = sorted(sums)
        values = torch.cat([sums[name].flatten() for name in names]).numpy().view("uint64")
        masked = pads.add_pads(values, use, self._name, self._key, self.agreement.pad_keys)
        sent = torch.from_numpy(pads.to_bytes(masked, width))
        sizes = [sums[name].numel() for name in names]
        arrays = dict(zip(names, sent.split(sizes), strict=True))
        return encode_arrays(
            {CLIENTS: report.clients, **{f"sum.{n}": v for n, v in arrays.items()}}
        )

    def encoded_metrics(self, request: Envelope, report: Report) -> bytes:
        """See `Handlers.encoded_metrics`."""
        return self.encoded(request, report)

    def pay(self, request: Envelope, reply: bytes) -> None:
        """See `Handlers.pay`; the pads are noted as used first."""
        use = self._use(request)
        self._book.note(use, reply, _asked(request))
        if isinstance(self.mechanism, ShardMechanism):
            self.mechanism.pay(use.round, reply, use.attempt)

    def _check_confirmed(self, use: PadUse, confirmed: object) -> None:
        """Each other node of a later attempt has told this one that it has the same list.

        Raises:
            Refused: one has not.
        """
        use = replace(use, kind="confirm")
        self._book.note(use, b"", "")
        told = confirmed if isinstance(confirmed, dict) else {}
        for other, peer in self._others(use):
            said = pads.confirmation(use, other, self._name, self._key, peer)
            if not hmac.compare_digest(said, str(told.get(other))):
                raise Refused(f"{other} has not confirmed the nodes of attempt {use.attempt}")

    def _others(self, use: PadUse) -> Iterator[tuple[str, str]]:
        """The other nodes of a total, and the public halves of their keys."""
        keys = self.agreement.pad_keys
        return ((node, keys[node]) for node in use.epochs if node != self._name)

    def _in_steps(self, report: Report, nodes: int) -> dict[str, Tensor]:
        """The sums as whole numbers, with this node's share of the noise if there is any."""
        if isinstance(self.mechanism, MaskedShard):
            own = share(nodes, tolerated(self.agreement.experiment))
            key = Key(0).at(report.round)
            return self.mechanism.sums.of_one_shard(own).with_noise(whole_sums(report), key)
        assert isinstance(self.mechanism, SecureSum)
        most = 2.0**62 * STEP / nodes
        for name, value in report.sums.items():
            if not bool((value.abs() < most).all()):
                raise Refused(f"'{name}' is not finite, or so large that a total would overflow")
        return self.mechanism.in_steps(report)

    def _width(self, round_number: int) -> int:
        if isinstance(self.mechanism, MaskedShard):
            return self.mechanism.sums.width(round_number)
        assert isinstance(self.mechanism, SecureSum)
        return self.mechanism.width(round_number)

    def _use(self, request: Envelope) -> PadUse:
        """What a request wants pads for, if that was agreed on."""
        asked = request.facts.get("secure")
        if not isinstance(asked, dict) or not {"attempt", "epochs"} <= asked.keys():
            raise Refused("a request that does not say which nodes are in the total")
        attempt, epochs = asked["attempt"], asked["epochs"]
        # not those that have left
        known = {node.name for node in self.agreement.nodes}
        if type(attempt) is not int or attempt < FIRST:
            raise Refused("no such attempt")
        if attempt > FIRST and not reserve(self.agreement.experiment):
            raise Refused("a second attempt at a round, for which no reserve was agreed on")
        if not isinstance(epochs, dict) or not epochs.keys() <= known:
            raise Refused("a node in the total that the agreement does not know")
        if not all(re.fullmatch("[0-9a-f]{64}", str(each)) for each in epochs.values()):
            raise Refused("an epoch that is none")
        least = least_nodes(self.agreement.experiment)
        if len(epochs) < least:
            raise Refused(f"a total of {len(epochs)} nodes, where {least} were agreed on at least")
        if epochs.get(self._name) != self._book.epoch:
            raise Restored("the record of used pads is not the one that this run began with")
        names = (request.agreement, request.run, self.paid_round(request), request.kind)
        return PadUse(*names, attempt, dict(sorted(epochs.items())))


def _asked(request: Envelope) -> str:
    """Digest of what is asked for, whoever is in the total."""
    facts = {name: value for name, value in request.facts.items() if name != "secure"}
    return replace(request, facts=facts).digest
