"""From public facts of the data to the settings that an experiment leaves open, once, before a run.

The values that were derived stand in the run folder as if somebody had set them, each with its
reason. So a run that goes on goes on with them, and runs are compared by what they really used.
"""

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace

from ufgraphfr.algorithms import capabilities
from ufgraphfr.algorithms.base import Setting
from ufgraphfr.core.derived import ASKED, COHORT, ROUNDS, DataFacts, Derived
from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.experiment.reading import build_beside
from ufgraphfr.experiment.settings import flat, put, take

logger = logging.getLogger(__name__)


def derive(experiment: Experiment, facts: DataFacts, setting: Setting) -> Experiment:
    """The experiment with nothing left open; each derived setting is logged.

    Under a privacy budget the rounds are those of the form that the budget affords, and all other
    keys keep their defaults.

    Args:
        experiment: as it was read.
        facts: of the data.
        setting: the public facts of the federation, from which a budget's form follows.
    """
    if not experiment.auto:
        return experiment
    found = _open(experiment, experiment.mechanism.derive(setting.clients))
    if experiment.mechanism.budget(setting.clients) is None:
        found += _from_data(experiment, facts)
    elif ROUNDS in experiment.auto:
        found += _from_budget(_with(experiment, found), setting)
    for each in found:
        logger.info("%s", each)
    return _with(experiment, found)


def flagship_settings(facts: DataFacts) -> tuple[Derived, ...]:
    """What the flagship would derive from data, if nothing of it were set."""
    return _from_data(build({"algorithm": {"kind": "ufgraphformer"}}), facts)


def settled(experiment: Experiment, there: Experiment) -> Experiment:
    """The experiment with what it leaves open as it is in another that leaves nothing open.

    What was set there, and not derived or left at its default, stays open: that is a difference.
    """
    theirs, defaults = flat(there.resolved()), flat(_defaults(experiment).resolved())
    derived = {each.key: each for each in there.derived}
    same = {
        key for key in experiment.auto if key in derived or theirs.get(key) == defaults.get(key)
    }
    known = [derived.get(key) or Derived(key, theirs.get(key), "") for key in sorted(same)]
    found = _with(experiment, known)
    told = tuple(each for each in there.derived if each.key in same)
    return replace(found, auto=experiment.auto - same, derived=told)


def _defaults(experiment: Experiment) -> Experiment:
    return replace(experiment, auto=frozenset())


def _from_data(experiment: Experiment, facts: DataFacts) -> tuple[Derived, ...]:
    if not isinstance(experiment.model, capabilities.Adaptive):
        return ()
    given = {k: v for k, v in flat(experiment.resolved()).items() if k not in experiment.auto}
    if COHORT in given:
        given[COHORT] = experiment.federation.expected(facts.users)
    given[ASKED] = experiment.evaluation.asked(facts.users) or facts.users
    return _open(experiment, experiment.model.derive(facts, given))


def _open(experiment: Experiment, found: tuple[Derived, ...]) -> tuple[Derived, ...]:
    """Those of the settings that the experiment leaves open."""
    return tuple(each for each in found if each.key in experiment.auto)


def _from_budget(experiment: Experiment, setting: Setting) -> tuple[Derived, ...]:
    releases = capabilities.releases(
        model_in_use(experiment, setting), experiment.federation.rounds
    )
    parts = ", ".join(each.part for each in releases)
    return (Derived(ROUNDS, releases[-1].last, f"the budget affords {parts}"),)


def _with(experiment: Experiment, found: Sequence[Derived]) -> Experiment:
    """The experiment with these values, and defaults for what is left."""
    values = copy.deepcopy(_defaults(experiment).changed())
    for each in found:
        take(values, each.key)
        if each.value is not None:
            put(values, each.key, each.value)
    built = build_beside(values, experiment.folder)
    return replace(built, auto=frozenset(), derived=tuple(found))
