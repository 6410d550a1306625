"""What every transport owes: replies as if the clients had been asked without it."""

from collections.abc import Callable, Set
from dataclasses import replace

import torch
from torch import Tensor

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, Task, combine
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transport import Response
from ufgraphfr.federation.transports.base import TransportSpec
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.privacy.none import NoMechanism
from ufgraphfr.testing.checkerboard import checkerboard
from ufgraphfr.testing.contracts import (
    DEFAULTS,
    Settings,
    check,
    configured,
    require,
    require_close,
    survives_a_round_trip,
)
from ufgraphfr.testing.small_federation import SmallFederation

KEY = Key(5, round=1)
KINDS = ("fedmf", "ufgraphfr", "ufgraphformer")
"""Sums of rows, each client's own reply beside private weights, and sums of whole numbers."""
COHORT = torch.tensor([0, 3, 4, 9, 12, 15, 20, 21])


def check_transport(spec: type[TransportSpec], configurations: Settings = DEFAULTS) -> None:
    """Hold a transport to simulated clients to its contracts.

    Args:
        spec: the class.
        configurations: keys that differ from their defaults, one dict for each check.

    Raises:
        AssertionError: a contract is broken.
        InputError: a configuration is wrong.
    """
    for transport, name in configured(spec, configurations):
        check(transport, TRANSPORT_CONTRACTS, name)


class _Network:
    """An algorithm's clients, asked by a transport."""

    def __init__(self, kind: str, transport: TransportSpec, chunk: int = 5) -> None:
        self.transport = transport
        algorithm = ALGORITHMS.build(kind, {}, kind)
        self.federation = SmallFederation.of(algorithm, checkerboard())
        client = Client(algorithm, NoMechanism())
        self.clients = Simulation(client, self.federation.batch, self.federation.store, chunk)

    def task(self, clients: Tensor) -> Task:
        """What the first round asks of some clients."""
        algorithm = self.federation.algorithm
        task = algorithm.broadcast(self.federation.state, clients, KEY.round)
        return replace(task, aggregation=algorithm.aggregation)

    def ask(self, cohort: Tensor = COHORT, cacheable: Set[str] = frozenset()) -> list[Response]:
        """All that comes back, where devices keep some arrays of the task."""

        def task_for(clients: Tensor) -> Task:
            return replace(self.task(clients), cacheable=frozenset(cacheable))

        return list(self.transport.exchange(self.clients, task_for, cohort, KEY))

    def report(self) -> Report:
        """All that comes back, as one."""
        return combine([answer.report for answer in self.ask()])


def asks_everybody_once(transport: TransportSpec) -> None:
    """The clients of a cohort are asked, each once, and nobody else is."""
    for kind in KINDS:
        answers = _Network(kind, transport).ask()
        asked = torch.cat([answer.asked for answer in answers]).sort().values
        same = torch.equal(asked, COHORT)
        require(same, f"{kind}: of {COHORT.tolist()} it asks {asked.tolist()}")
        replied = torch.cat([answer.report.clients for answer in answers]).sort().values
        require(torch.equal(replied, COHORT), f"{kind}: replies of {replied.tolist()} arrive")


def asks_nobody_in_an_empty_round(transport: TransportSpec) -> None:
    """A cohort without clients is no request."""
    require(_Network("fedmf", transport).ask(COHORT[:0]) == [], "nobody is asked, and it replies")


def carries_what_clients_reply(transport: TransportSpec) -> None:
    """Reports and private weights are those of clients that are asked in memory."""
    for kind in KINDS:
        other, own = (_Network(kind, way) for way in (Local(), transport))
        expected, found = other.report(), own.report()
        same = found.aggregation is expected.aggregation
        require(same, f"{kind}: sums arrive as replies of each client, or the other way round")
        names = found.arrays.keys() ^ expected.arrays.keys()
        require(not names, f"{kind}: arrays are lost, or new: {sorted(names)}")
        require_close(found.loss, expected.loss, f"{kind}: losses differ")
        for name, value in expected.arrays.items():
            sentence = f"{kind}: '{name}' arrives changed"
            require_close(found.arrays[name].dense(), value.dense(), sentence)
        for name, weights in other.federation.store.weights.items():
            kept = own.federation.store.weights[name]
            require_close(kept, weights, f"{kind}: private weights '{name}' differ afterwards")


def does_not_depend_on_the_chunk(transport: TransportSpec) -> None:
    """It does not matter how many are asked at a time."""
    for kind in KINDS:
        few, many = (_Network(kind, transport, chunk).report() for chunk in (1, 100))
        for name, value in few.arrays.items():
            sentence = f"{kind}: '{name}' depends on how many clients are asked at a time"
            require_close(many.arrays[name].dense(), value.dense(), sentence)


def leaves_alone_who_sits_out(transport: TransportSpec) -> None:
    """Who is not in the cohort keeps its private weights, to the bit."""
    network = _Network("ufgraphfr", transport)
    before = {name: value.clone() for name, value in network.federation.store.weights.items()}
    network.ask()
    resting = torch.ones(len(network.federation.batch), dtype=torch.bool)
    resting[COHORT] = False
    for name, value in network.federation.store.weights.items():
        same = torch.equal(value[resting], before[name][resting])
        require(same, f"'{name}' of clients that were not asked has changed")


def says_what_it_cost(transport: TransportSpec) -> None:
    """Bytes of a client's messages are positive and finite, those kept on devices apart."""
    network = _Network("fedmf", transport)
    (plain,) = network.ask(COHORT[:1])
    counted = torch.tensor([plain.bytes_down, plain.bytes_up])
    require(bool((counted.isfinite() & (counted > 0)).all()), f"bytes of {counted.tolist()}")
    (lasting,) = network.ask(COHORT[:1], network.task(COHORT[:1]).shared.keys())
    require(plain.bytes_once == 0 < lasting.bytes_once, "what devices keep is not counted apart")
    require(lasting.bytes_down < plain.bytes_down, "what devices keep is counted in every round")


TRANSPORT_CONTRACTS: tuple[Callable[[TransportSpec], None], ...] = (
    survives_a_round_trip,
    asks_everybody_once,
    asks_nobody_in_an_empty_round,
    carries_what_clients_reply,
    does_not_depend_on_the_chunk,
    leaves_alone_who_sits_out,
    says_what_it_cost,
)
