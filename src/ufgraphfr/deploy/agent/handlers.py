"""What an agent does for the server: say who is there, train, and evaluate; nothing else.

Everything that decides what may leave comes from the agent's own agreement. A request brings
arrays, and those must have the names, kinds and shapes that the agreement's algorithm sends.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, Task, combine
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.deploy.agent.array_cache import Memory
from ufgraphfr.deploy.agent.metric_sums import metric_sums
from ufgraphfr.deploy.agent.store import ShardStore, settled_in
from ufgraphfr.deploy.agent.users import Held, read_held
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.guarantee import ShardMechanism, of_holder
from ufgraphfr.deploy.wire.message import Envelope
from ufgraphfr.deploy.wire.payload import (
    decode_arrays,
    decode_task,
    digest,
    encode_arrays,
)
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.federation import codec
from ufgraphfr.federation.client import Client, Request
from ufgraphfr.privacy.accounted.ledger import Ledger

MOST_AT_ONCE = 16
"""Users stacked at once: bounds an agent's memory, whatever a simulation's chunk is."""


class Refused(ValueError):
    """A request outside the agreement; the message goes to the agent's own log alone."""


class Missing(ValueError):
    """An array that the server believes to be here is not: it is to be sent again."""


class Duties:
    """One shard and what is done with it."""

    def __init__(
        self,
        store: ShardStore,
        memory: Memory,
        agreement: Agreement,
        catalogue: Catalogue,
        ledger: Ledger,
    ) -> None:
        """Takes the shard's data, what was sent before, what was signed off, what may be spent."""
        self.memory = memory
        self.store, self.agreement, self.catalogue = store, agreement, catalogue
        self.setting = agreement.setting(catalogue, told=False)
        self.algorithm = model_in_use(agreement.experiment, self.setting)
        self.mechanism = of_holder(agreement.experiment, self.algorithm, agreement.clients, ledger)
        self._held: tuple[int, Held | None] = (-1, None)
        self._models: dict[tuple[bool, int], Task] = {}

    def held(self) -> Held:
        """The users as they are now.

        Raises:
            Refused: fewer than the agreement lets anything leave of.
        """
        version = self.store.version
        if self._held[0] != version:
            self._held = (version, read_held(self.store, self.agreement, self.catalogue))
        held = self._held[1]
        if held is None or len(held.numbers) < self.agreement.smallest:
            raise Refused(f"fewer than {self.agreement.smallest} users are here")
        return held

    def hello(self, request: Envelope) -> Envelope:
        """Which client numbers are here."""
        held = self.held()
        facts = {"interactions": len(held.split.history)} if self._metrics else {}
        return request.reply(encode_arrays({"clients": held.numbers}), facts=facts)

    def train(self, request: Envelope) -> Envelope:
        """Let the clients of a task train, and return what the mechanism lets through."""
        spec = self.agreement.experiment.federation
        if not 1 <= request.round <= spec.rounds:
            raise Refused(f"round {request.round} is not among the {spec.rounds} agreed on")
        if request.round <= self.store.counter(settled_in(request.run)):
            raise Refused(f"round {request.round} of this run is settled")
        held, task = self.held(), self._task(request, evaluated=False)
        here = torch.isin(task.clients, held.numbers)
        if int(here.sum()) < self.agreement.smallest:
            raise Refused(f"fewer than {self.agreement.smallest} of the clients are here")
        if not bool(here.all()):
            task = task.select(here.nonzero()[:, 0])
        report = self._trained(request, held, task)
        # a table for each client is large, and so is what is made of the report
        del task
        return request.reply(codec.encode_report(report, self.algorithm.integer_bounds))

    def _trained(self, request: Envelope, held: Held, task: Task) -> Report:
        """One report for all clients of a task; their new weights are kept."""
        experiment, reports = self.agreement.experiment, list[Report]()
        algorithm, upload = self.algorithm, experiment.federation.upload
        client = Client(algorithm, self.mechanism, None if upload is None else upload.bounds)
        task = replace(task, aggregation=algorithm.aggregation)
        key = Key(experiment.seed).at(request.round)
        places = torch.searchsorted(held.numbers, task.clients)
        order = held.shard.counts[places].argsort(descending=True, stable=True)
        for chunk in order.split(min(MOST_AT_ONCE, experiment.federation.chunk)):
            shard = held.shard.select(places[chunk])
            mine = self._private(request.run, request.round, shard)
            report, after = client.respond(Request(task.select(chunk), shard, mine, key))
            self.store.keep_weights(request.run, request.round, shard.clients, after)
            # sums are added as they come, so that no more than two are held
            summed = report.aggregation is Aggregation.SUM
            reports = [combine([*reports, report])] if summed else [*reports, report]
        total = combine(reports)
        if self.mechanism.is_private:
            # the ledger pays once the reply is kept, see `pay`
            return self.mechanism.finalize(total, key)
        if upload is None:
            return total
        return upload.of_sum(total, int(held.numbers[0]), key, algorithm.matrices(task))

    def pay(self, request: Envelope, reply: bytes) -> None:
        """Charge the shard's ledger with a reply that is kept, before it is sent."""
        if isinstance(self.mechanism, ShardMechanism):
            self.mechanism.pay(request.round, reply)

    def evaluate(self, request: Envelope) -> Envelope:
        """Sums of metrics over the users."""
        if not self._metrics:
            raise Refused("the agreement lets no metrics leave")
        part = request.facts.get("part")
        if part not in ("validation", "test"):
            raise Refused("no such part of the data")
        algorithm, held = self.algorithm, self.held()
        task = self._task(request, evaluated=True)
        choices = algorithm.blends()
        if choices is None:
            choices = torch.ones(1, 1)
        elif part == "test" or self.mechanism.is_private:
            choices = task.shared["blend"][None]

        def parts(own: ClientBatch) -> Tensor:
            here = torch.searchsorted(task.clients, own.clients)
            mine = self._private(request.run, request.round + 1, own)
            return algorithm.parts(task.select(here), own, mine)

        if not bool(torch.isin(held.numbers, task.clients).all()):
            raise Refused("the task is not for all clients that are here")
        chunk = min(MOST_AT_ONCE, self.agreement.experiment.evaluation.chunk)
        return request.reply(encode_arrays(metric_sums(parts, choices, held, part, chunk)))

    @property
    def _metrics(self) -> bool:
        return self.agreement.metrics == "sums"

    def _private(self, run: str, before: int, shard: ClientBatch) -> Private:
        """The weights that clients have before a round, each ``[clients, ...]``."""
        weights = self.algorithm.init_private(self.setting, shard)
        if not weights:
            return weights
        trained = self.store.weights(run, before, shard.clients)
        for place, number in enumerate(shard.clients.tolist()):
            for name, value in trained.get(number, {}).items():
                weights[name][place] = value
        return weights

    def _task(self, request: Envelope, evaluated: bool) -> Task:
        """The task of a request, if it is one that the agreed algorithm sends."""
        if len(request.parts) != 2:
            raise Refused("a task has two parts")
        task = decode_task(self._shared(request), request.parts[1])
        number = request.round
        if task.round != number + int(evaluated):
            raise Refused("the task is for another round")
        if len(task.clients) == 0 or len(task.clients.unique()) != len(task.clients):
            raise Refused("a client is named twice, or none is")
        _check_like(task, self._model(number, evaluated))
        return task

    def _shared(self, request: Envelope) -> dict[str, Tensor]:
        """The arrays that a request names by digest: it brings them, or they are here already."""
        named, brought = request.facts.get("shared"), decode_arrays(request.parts[0])
        if not isinstance(named, dict) or not brought.keys() <= named.keys():
            raise Refused("arrays that the request does not name")
        found: dict[str, Tensor] = {}
        for name, sha256 in named.items():
            known = brought[name] if name in brought else self.memory.get(str(sha256))
            if known is None:
                raise Missing("an array that is not here any more")
            if digest(known) != sha256:
                raise Refused("another array than the request names")
            found[name] = known
        self.memory.keep({str(sha256): found[name] for name, sha256 in named.items()})
        return found

    def _model(self, number: int, evaluated: bool) -> Task:
        """A task of one client as the agreed algorithm would send it, up to its values."""
        algorithm = self.algorithm
        kind = (evaluated, number)
        if kind not in self._models:
            state = algorithm.init_server(self.setting)
            one = self.held().numbers[:1]
            made = algorithm.evaluated if evaluated else algorithm.broadcast
            self._models = {kind: made(state, one, number)}
        return self._models[kind]


def _check_like(task: Task, model: Task) -> None:
    """A task holds what a model of it holds, in the same shapes, and finite numbers."""
    if task.shared.keys() != model.shared.keys() or task.personal.keys() != model.personal.keys():
        raise Refused("the task holds other arrays than the agreed algorithm sends")
    for name, value in task.shared.items():
        _check_array(value, model.shared[name].dtype, tuple(model.shared[name].shape))
    for name, own in task.personal.items():
        # as decoded, tables are dense: this is a view
        expected = (len(task.clients), *model.personal[name].shape[1:])
        _check_array(own.dense(), torch.float32, expected)


def _check_array(value: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    # what the server has no more use for it sends empty
    if value.dtype != dtype or (tuple(value.shape) != shape and value.numel()):
        raise Refused("an array of another kind or shape than agreed")
    if value.is_floating_point() and value.numel():
        # the extremes of numbers that are not all finite are not finite either
        low, high = value.aminmax()
        if not bool(low.isfinite() & high.isfinite()):
            raise Refused("a number that is not finite")
