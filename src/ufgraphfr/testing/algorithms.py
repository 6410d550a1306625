"""What every algorithm owes: it learns, and its result depends on nothing that it must not."""

import inspect
from collections.abc import Callable

import torch
from safetensors.torch import load, save
from torch import Tensor

from ufgraphfr.algorithms import capabilities
from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.keys import Key
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.federation.transports.loopback import Loopback
from ufgraphfr.testing.checkerboard import checkerboard
from ufgraphfr.testing.contracts import (
    DEFAULTS,
    Settings,
    check,
    configured,
    copied,
    require,
    require_close,
    require_equal,
    survives_a_round_trip,
)
from ufgraphfr.testing.small_federation import SmallFederation

LASTING_ROUNDS = 12


def check_algorithm(
    spec: type[Algorithm],
    configurations: Settings = DEFAULTS,
    learns: bool = True,
    draws: bool = True,
) -> None:
    """Hold an algorithm to its contracts, on 24 users and items.

    Args:
        spec: the class.
        configurations: keys that differ from their defaults, one dict for each check.
        learns: False for an algorithm in which users tell each other nothing, or that ranks alike
            for everybody: it must then not find an item that its user never saw.
        draws: False for an algorithm without randomness.

    Raises:
        AssertionError: a contract is broken.
        InputError: a configuration is wrong.
    """
    for algorithm, name in configured(spec, configurations):
        learning = learns_the_checkerboard if learns else keeps_to_itself
        drawing = (draws_from_its_seed,) if draws else ()
        check(algorithm, (learning, *drawing, *ALGORITHM_CONTRACTS), name)


def learns_the_checkerboard(algorithm: Algorithm) -> None:
    """Nine users in ten find the item of their colour that was withheld from them."""
    before, after = _found(algorithm)
    require(before < 0.5, f"it knows the answer before it trains: {before:.0%} of users are right")
    require(after >= 0.9, f"it does not learn: {after:.0%} of users find what was withheld")


def keeps_to_itself(algorithm: Algorithm) -> None:
    """Who shares nothing cannot know that an item it never saw is of its colour."""
    before, after = _found(algorithm)
    require(max(before, after) < 0.5, f"{after:.0%} of users know what nobody told them")


def _found(algorithm: Algorithm) -> tuple[float, float]:
    """Share of users that rank the withheld item above the other colour, before and after."""
    federation = SmallFederation.of(algorithm, checkerboard())
    return _share(federation.scores()), _share(federation.run(100).scores())


def _share(scores: Tensor) -> float:
    """Of users whose withheld item, number u of user u, is ahead of all of the other colour."""
    own = torch.arange(len(scores))
    other = (own[:, None] + own[None, :]) % 2 == 1
    ahead = (scores >= scores[own, own][:, None]) & other
    return float((ahead.sum(1) == 0).float().mean())


def ignores_the_size_of_chunks(algorithm: Algorithm) -> None:
    """Clients trained together, seven at a time or alone end in the same place."""
    whole = SmallFederation.of(algorithm, checkerboard()).run(3).scores()
    for chunk in (1, 7):
        parts = SmallFederation.of(algorithm, checkerboard()).run(3, chunk=chunk).scores()
        require_close(parts, whole, f"scores depend on the chunk: {chunk} clients at a time")


def ignores_the_order_of_clients(algorithm: Algorithm) -> None:
    """The server's memory does not depend on who answers first."""
    states = []
    for backwards in (False, True):
        federation = SmallFederation.of(algorithm, checkerboard()).run(1)
        states.append(federation.run(1, first=2, chunk=5, backwards=backwards).state)
    for name, value in states[0].items():
        sentence = f"the server's '{name}' depends on the order of clients"
        require_close(states[1][name], value, sentence)


def repeats_to_the_bit(algorithm: Algorithm) -> None:
    """The same seed is the same run."""
    first, second = (
        SmallFederation.of(algorithm, checkerboard()).run(3, chunk=7).scores() for _ in range(2)
    )
    require(torch.equal(first, second), "the same run twice differs: draw from the key alone")


def draws_from_its_seed(algorithm: Algorithm) -> None:
    """Another seed is another run."""
    first, second = (
        SmallFederation.of(algorithm, checkerboard(), seed).run(2).scores() for seed in (3, 4)
    )
    require(not torch.equal(first, second), "another seed changes nothing: draw from the key")


def resumes_to_the_bit(algorithm: Algorithm) -> None:
    """Stopping, writing all state to disk and going on is one run."""
    whole = SmallFederation.of(algorithm, checkerboard()).run(4)
    halves = SmallFederation.of(algorithm, checkerboard()).run(2)
    halves.state, halves.store.weights = _written(halves.state), _written(halves.store.weights)
    require(
        torch.equal(halves.run(2, first=3).scores(), whole.scores()),
        "a resumed run is another run: all state must be in what is handed in and back",
    )


def _written(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """The arrays of a checkpoint, as it gives them back."""
    return load(save({name: value.clone().contiguous() for name, value in arrays.items()}))


def changes_only_who_takes_part(algorithm: Algorithm) -> None:
    """Clients that sit out keep their private weights."""
    federation = SmallFederation.of(algorithm, checkerboard())
    before = copied(federation.store.weights)
    federation.run(1, cohort=5)
    asked = len(federation.batch) if capabilities.asks_all_clients(algorithm, 1) else 5
    for name, value in federation.store.weights.items():
        changed = int((value != before[name]).flatten(1).any(1).sum())
        sentence = f"'{name}' changed on {changed} devices, but {asked} clients took part"
        require(changed in (0, asked), sentence)


def bears_clients_that_never_answer(algorithm: Algorithm) -> None:
    """Rounds in which a third of the cohort is lost leave finite scores."""
    federation = SmallFederation.of(algorithm, checkerboard()).run(4, cohort=12, dropouts=0.3)
    require(bool(federation.scores().isfinite().all()), "scores are not finite after dropouts")


def survives_its_bytes(algorithm: Algorithm) -> None:
    """A round whose messages are encoded and decoded releases what a local one does."""
    local, loopback = (
        SmallFederation.of(algorithm, checkerboard()).run(1).run(1, first=2, transport=way).released
        for way in (Local(), Loopback())
    )
    if local is None or loopback is None:
        raise AssertionError("a round of 24 clients released nothing")
    same = loopback.aggregation is local.aggregation
    require(same, "encoded messages make sums of what was none")
    require(torch.equal(loopback.clients, local.clients), "encoded messages lose clients")
    for name, value in local.arrays.items():
        sentence = f"'{name}' does not survive its encoding"
        require_close(loopback.arrays[name].dense(), value.dense(), sentence)


def leaves_its_arguments_alone(algorithm: Algorithm) -> None:
    """Neither training nor aggregation changes what it was handed."""
    federation = SmallFederation.of(algorithm, checkerboard()).run(1)
    batch = federation.batch
    mine, kept = federation.store.gather(batch), federation.state
    weights, state = copied(mine), copied(kept)
    task = algorithm.broadcast(kept, batch.clients, 2)
    algorithm.local(task, batch, mine, Key(3, round=2))
    require_equal(mine, weights, "local training writes into the private weights it is handed")
    require_equal(kept, state, "local training writes into the server's memory")
    federation.run(1, first=2)
    require_equal(kept, state, "aggregate writes into the memory it is handed: return another")


def scores_users_without_history(algorithm: Algorithm) -> None:
    """A newcomer gets finite scores of every item."""
    federation = SmallFederation.of(algorithm, checkerboard()).run(1)
    batch = federation.batch
    nothing = torch.zeros(0, dtype=torch.int64)
    empty = batch.with_history(torch.zeros(len(batch) + 1, dtype=torch.int64), nothing)
    task = capabilities.scoring_task(algorithm, federation.state, empty.clients, 2)
    scores = algorithm.score(task, empty, federation.store.gather(empty))
    require(scores.shape == (len(empty), empty.n_items), f"scores of shape {scores.shape}")
    require(bool(scores.isfinite().all()), "scores of users without history are not finite")


def sends_what_lasts_once(algorithm: Algorithm) -> None:
    """An array that a device keeps is the same in every later message."""
    SmallFederation.of(algorithm, checkerboard()).cacheable(LASTING_ROUNDS)


def is_whole_in_its_capabilities(algorithm: Algorithm) -> None:
    """Who defines a part of a capability defines all of it, or nobody would ask."""
    for name, protocol in inspect.getmembers(capabilities, inspect.isclass):
        if protocol.__module__ != capabilities.__name__:
            continue
        methods = [each for each in vars(protocol) if not each.startswith("_")]
        there = [each for each in methods if hasattr(type(algorithm), each)]
        require(
            len(there) in (0, len(methods)),
            f"it defines {', '.join(there)} but not all of {name}: {', '.join(methods)}",
        )


ALGORITHM_CONTRACTS: tuple[Callable[[Algorithm], None], ...] = (
    is_whole_in_its_capabilities,
    survives_a_round_trip,
    repeats_to_the_bit,
    ignores_the_size_of_chunks,
    ignores_the_order_of_clients,
    resumes_to_the_bit,
    changes_only_who_takes_part,
    bears_clients_that_never_answer,
    survives_its_bytes,
    leaves_its_arguments_alone,
    scores_users_without_history,
    sends_what_lasts_once,
)
"""All but whether it learns and draws, which `check_algorithm` asks first."""
