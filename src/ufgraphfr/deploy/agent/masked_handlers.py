"""An agent whose sums leave under masks: with the other nodes' they add up to a total, alone never.

What the masks are bound to comes from the agreement and from the request; a server that tells nodes
different things gets sums that do not add up, and learns nothing.
"""

import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.deploy.agent.answers import Refused, Restored
from ufgraphfr.deploy.agent.array_cache import ArrayCache
from ufgraphfr.deploy.agent.handlers import Handlers
from ufgraphfr.deploy.agent.pad_book import PadBook
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.guarantee import ShardMechanism
from ufgraphfr.deploy.agreement.masked import ATTEMPT, MaskedShard, least_nodes, tolerated
from ufgraphfr.deploy.wire import pads
from ufgraphfr.deploy.wire.message import Envelope
from ufgraphfr.deploy.wire.pads import PadUse
from ufgraphfr.deploy.wire.payload import encode_arrays
from ufgraphfr.privacy.accounted.gaussian import whole_sums
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.secure_sum import share
from ufgraphfr.privacy.secure_sum import STEP, SecureSum

CLIENTS = "clients"
"""The part of a masked reply that says whose data are in it."""


class MaskedHandlers(Handlers):
    """See `Handlers`; training replies are masked."""

    def __init__(
        self,
        store: ShardStore,
        cache: ArrayCache,
        agreement: Agreement,
        catalogue: Catalogue,
        ledger: Ledger,
        folder: Path,
        name: str,
    ) -> None:
        """Takes also the shard's folder, which holds the pad key, and the name of the node.

        Raises:
            InputError: the folder holds another key than the one that was agreed on.
        """
        super().__init__(store, cache, agreement, catalogue, ledger)
        if isinstance(self.mechanism, ShardMechanism):
            self.mechanism = MaskedShard(self.mechanism.sums)
        self._name, self._book = name, PadBook(folder)
        self._key = self._book.key(agreement.pad_keys[name])

    def hello(self, request: Envelope) -> Envelope:
        """See `Handlers.hello`; the epoch of the pads holds for the run."""
        reply = super().hello(request)
        return replace(reply, facts=reply.facts | {"pads": self._book.epoch})

    def train(self, request: Envelope) -> Envelope:
        """See `Handlers.train`; refused before anybody trains if the pads are not fresh."""
        self._book.check_unused(self._use(request))
        return super().train(request)

    def encoded(self, request: Envelope, report: Report) -> bytes:
        """A report as it leaves: each number with its share of noise, under a mask."""
        use = self._use(request)
        sums, width = self._in_steps(report, len(use.epochs)), self._width(request.round)
        names = sorted(sums)
        values = torch.cat([sums[name].flatten() for name in names]).numpy().view("uint64")
        masked = pads.add_pads(values, use, self._name, self._key, self.agreement.pad_keys)
        sent = torch.from_numpy(pads.to_bytes(masked, width))
        sizes = [sums[name].numel() for name in names]
        arrays = dict(zip(names, sent.split(sizes), strict=True))
        return encode_arrays(
            {CLIENTS: report.clients, **{f"sum.{n}": v for n, v in arrays.items()}}
        )

    def pay(self, request: Envelope, reply: bytes) -> None:
        """See `Handlers.pay`; the pads are noted as used first."""
        if request.kind == "train":
            self._book.note(self._use(request), reply)
        super().pay(request, reply)

    def _in_steps(self, report: Report, nodes: int) -> dict[str, Tensor]:
        """The sums as whole numbers, with this node's share of the noise if there is any."""
        if isinstance(self.mechanism, MaskedShard):
            own = share(nodes, tolerated(self.agreement.experiment))
            key = Key(0).at(report.round)
            return self.mechanism.sums.of_one_holder(own).with_noise(whole_sums(report), key)
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
        if not isinstance(asked, dict) or asked.keys() != {"attempt", "epochs"}:
            raise Refused("a request that does not say which nodes are in the total")
        if asked["attempt"] != ATTEMPT:
            raise Refused("a second attempt at a round, for which no reserve was agreed on")
        epochs, known = asked["epochs"], self.agreement.pad_keys
        if not isinstance(epochs, dict) or not epochs.keys() <= known.keys():
            raise Refused("a node in the total that the agreement does not know")
        if not all(re.fullmatch("[0-9a-f]{64}", str(each)) for each in epochs.values()):
            raise Refused("an epoch that is none")
        least = least_nodes(self.agreement.experiment)
        if len(epochs) < least:
            raise Refused(f"a total of {len(epochs)} nodes, where {least} were agreed on at least")
        if epochs.get(self._name) != self._book.epoch:
            raise Restored("the record of used pads is not the one that this run began with")
        names = (request.agreement, request.run, request.round, request.kind)
        return PadUse(*names, ATTEMPT, dict(sorted(epochs.items())))
