"""What every baseline owes: it learns what is known, and each user's scores are its own."""

from collections.abc import Callable
from functools import cache, partial

import torch

from ufgraphfr.baselines.base import Baseline
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.data.split import Split, leave_one_out
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.protocol import EvaluationSet
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

USERS, ITEMS = 80, 48


def check_baseline(
    spec: type[Baseline], configurations: Settings = DEFAULTS, personal: bool = True
) -> None:
    """Hold a baseline to its contracts, on 80 users and 48 items of four colours.

    Args:
        spec: the class.
        configurations: keys that differ from their defaults, one dict for each check.
        personal: False for a baseline that does not look at the items of a user's history.

    Raises:
        AssertionError: a contract is broken.
        InputError: a configuration is wrong.
    """
    for baseline, name in configured(spec, configurations):
        first = (learns_the_checkerboard,) if personal else ()
        check(baseline, (*first, *BASELINE_CONTRACTS), name)


@cache
def _split() -> Split:
    """Users like all items of their own colour, in random order."""
    source = Synthetic(users=USERS, items=ITEMS, groups=4, interactions=12, noise=0.0)
    return leave_one_out(source.load().interactions)


def _everybody() -> ClientBatch:
    return build(_split(), torch.empty(USERS, 0))


def learns_the_checkerboard(baseline: Baseline) -> None:
    """The one item of the own colour that is missing is the answer."""
    batch, split = _everybody(), _split()
    fitted = baseline.fit(batch)

    found = evaluate(partial(baseline.score, fitted), EvaluationSet.of(batch, split, "test"))
    right = float((found.full == 1).mean())
    require(right == 1, f"it does not learn: {right:.0%} of users have the answer first")


def scores_every_item(baseline: Baseline) -> None:
    """Scores are finite numbers, one for each client and item."""
    batch = _everybody()
    scores = baseline.score(baseline.fit(batch), batch)
    require(scores.shape == (USERS, ITEMS), f"scores of shape {tuple(scores.shape)}")
    require(scores.is_floating_point(), f"scores are {scores.dtype}")
    require(bool(scores.isfinite().all()), "scores are not finite")


def scores_each_client_alone(baseline: Baseline) -> None:
    """A client's scores do not depend on who is scored with it."""
    batch = _everybody()
    fitted = baseline.fit(batch)
    alone = [baseline.score(fitted, batch.select(torch.tensor([user]))) for user in range(USERS)]
    together = baseline.score(fitted, batch)
    require_close(torch.cat(alone), together, "scores depend on who else is scored")


def ignores_the_order_of_clients(baseline: Baseline) -> None:
    """What is fitted does not depend on the order of clients."""
    batch = _everybody()
    order = torch.randperm(USERS, generator=torch.Generator().manual_seed(0))
    one, other = baseline.fit(batch), baseline.fit(batch.select(order))
    require(one.keys() == other.keys(), "the fitted arrays depend on the order of clients")
    for name, value in one.items():
        require_close(value, other[name], f"fitted '{name}' depends on the order of clients")


def scores_users_without_history(baseline: Baseline) -> None:
    """As input, and in training: users that are kept out, items that nobody has."""
    batch = _everybody()
    nothing = batch.select(torch.arange(3)).with_history(
        torch.zeros(4, dtype=torch.int64), batch.items[:0]
    )
    mixed = batch.select(torch.tensor([0, 1])).with_history(
        torch.tensor([0, 0, 2]), torch.tensor([5, 6])
    )
    fitted = baseline.fit(mixed)
    for clients in (nothing, mixed, batch):
        finite = bool(baseline.score(fitted, clients).isfinite().all())
        require(finite, "scores are not finite where users or items have no history")
    first, *others = baseline.score(baseline.fit(batch), nothing)
    alike = all(torch.equal(first, other) for other in others)
    require(alike, "users without history, of whom nothing is known, get different scores")


def leaves_its_arguments_alone(baseline: Baseline) -> None:
    """Neither the training data nor what was fitted is changed."""
    batch = _everybody()
    items = batch.items.clone()
    fitted = baseline.fit(batch)
    before = copied(fitted)
    baseline.score(fitted, batch)
    require(torch.equal(batch.items, items), "fit writes into the training data")
    require_equal(fitted, before, "score writes into what was fitted")


BASELINE_CONTRACTS: tuple[Callable[[Baseline], None], ...] = (
    survives_a_round_trip,
    scores_every_item,
    scores_each_client_alone,
    ignores_the_order_of_clients,
    scores_users_without_history,
    leaves_its_arguments_alone,
)
"""All but whether it learns, which `check_baseline` asks first."""
