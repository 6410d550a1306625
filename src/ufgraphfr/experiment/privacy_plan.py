"""From an experiment's budget to the mechanism of its run: what will be released, and how often."""

import logging
from dataclasses import replace

from ufgraphfr.algorithms import capabilities
from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import Aggregation
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.registry import Registry
from ufgraphfr.privacy.base import Mechanism, Participation, PrivacySpec, ReleasePlan

logger = logging.getLogger(__name__)


def model_in_use(experiment: Experiment, setting: Setting) -> Algorithm:
    """The experiment's algorithm, in the form that its budget affords."""
    model = experiment.model
    if not isinstance(model, Algorithm):
        raise TypeError(f"{model.kind} is fitted centrally, it is no algorithm")
    # ids that nobody may ever get are no users to average over
    budget = experiment.mechanism.budget(setting.expected_clients or setting.clients)
    return model if budget is None else capabilities.for_budget(model, budget, setting)


def calibrate(
    experiment: Experiment, algorithm: Algorithm, clients: int, ledger: Ledger
) -> Mechanism:
    """The mechanism, calibrated for all that a run will release; the promise is in the ledger.

    Raises:
        InputError: the budget cannot be kept.
    """
    planned = replace(plan(experiment, algorithm, clients), uncovered=_from_people(experiment))
    return experiment.mechanism.calibrate(planned, ledger)


def _from_people(experiment: Experiment) -> tuple[str, ...]:
    """What a simulation computes from everybody's rows without noise and takes as public."""
    found = experiment.located_source().from_rows
    if experiment.protocol.split == "global-time":
        found = (*found, "The two dates of the split follow from everybody's times.")
    return found


def check_total(mechanism: PrivacySpec, registry: Registry, ledger: Ledger) -> None:
    """Tell what all runs on some data spend together with this one, before it spends more.

    Raises:
        InputError: more than ``[privacy] total_epsilon``, or the ledger was put back.
    """
    registry.check(ledger)
    if ledger.spends:
        # a kill may have come between a payment and its note
        registry.note(ledger)
    together = registry.together(ledger)
    if together is None:
        return
    most = getattr(mechanism, "total_epsilon", None)
    if most is not None and together.epsilon > most * (1 + 1e-9):
        raise InputError(
            f"[privacy] total_epsilon = {most:g}, but with this run it would be {together}: each "
            f"run on the same data spends again; raise it, or ask for a smaller epsilon"
        )
    if together.runs > 1:
        logger.warning("each run on the same data spends again: with this one %s", together)


def expected_clients(
    experiment: Experiment, algorithm: Algorithm, round_number: int, clients: int
) -> float:
    """How many of the clients take part in a round, on average."""
    everybody = capabilities.asks_all_clients(algorithm, round_number)
    return clients if everybody else experiment.federation.expected(clients)


def plan(experiment: Experiment, algorithm: Algorithm, clients: int) -> ReleasePlan:
    """What an experiment releases, by part of the model.

    Raises:
        InputError: the experiment has more rounds or fewer than the model's private form.
    """
    spec = experiment.federation
    spec.check(clients)
    releases = capabilities.releases(algorithm, spec.rounds)
    budgeted = experiment.mechanism.budget(clients) is not None
    if budgeted and spec.defence is not None and spec.defence.kind != "none":
        raise InputError(
            f"[federation.defence] kind = '{spec.defence.kind}' goes by single replies, but with "
            f"[privacy] kind = '{experiment.mechanism.kind}' each is clipped and nothing but the "
            f"sum is looked at: leave the table out"
        )
    if budgeted and spec.upload is not None:
        raise InputError(
            f"[federation] upload goes with updates that nothing protects: with [privacy] kind = "
            f"'{experiment.mechanism.kind}' clip there, and leave the table out"
        )
    if releases[-1].last != spec.rounds:
        planned = ", ".join(f"{release.part} in {release.rounds}" for release in releases)
        raise InputError(
            f"[federation] rounds = {spec.rounds}, but under this budget {algorithm.kind} releases "
            f"{planned} round(s): set rounds = {releases[-1].last}"
        )
    participations = []
    for release in releases:
        first, last = release.first, release.last
        asked = expected_clients(experiment, algorithm, first, clients)
        if asked >= clients:
            participations.append(Participation(release, release.rounds, None, clients))
        else:
            most = spec.participations(first, last, clients)
            rate = asked / clients if spec.sampling == "poisson" else None
            participations.append(Participation(release, most, rate, asked))
    sums = algorithm.aggregation is Aggregation.SUM
    why = capabilities.rationale(algorithm)
    return ReleasePlan(tuple(participations), clients, sums, algorithm.kind, why)
