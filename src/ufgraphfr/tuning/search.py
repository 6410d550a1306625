"""The search: optuna's trials in a SQLite file, by validation alone, resumable and pruned by round.

Akiba et al., "Optuna: A next-generation hyperparameter optimization framework", KDD 2019; TPE:
Bergstra et al., NeurIPS 2011. A trial that is below the median of those before it, at its round, is
given up.
"""

import copy
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
import torch

from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.evaluation.metrics import SELECTED_BY
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.prepare import PreparedExperiment, prepare
from ufgraphfr.experiment.reading import build_beside
from ufgraphfr.experiment.runner import choose_device
from ufgraphfr.experiment.settings import flat, put
from ufgraphfr.experiment.tune_spec import Choices, Range, Space, TuneSpec, search_space
from ufgraphfr.tuning.trial import Trial, validations

logger = logging.getLogger(__name__)

DATABASE, BEST = "tune.db", "best.toml"
STARTUP = 4
"""Trials before any is pruned."""
WHY = "why"
"""What a trial that failed says of it."""
FAILURES = 3
"""So many trials that fail without one before that did not end a search."""


@dataclass(frozen=True)
class Tuning:
    """What a search is to try.

    Attributes:
        values: of the experiment's file, without ``[tune]``.
        folder: of that file.
        spec: its ``[tune]``.
        space: what is searched.
        experiment: the file's own settings, which are the first trial.
    """

    values: dict[str, Any]
    folder: Path
    spec: TuneSpec
    space: Space
    experiment: Experiment

    @classmethod
    def of(cls, values: dict[str, Any], folder: Path, spec: TuneSpec) -> "Tuning":
        """Check a file's values; every end of the space is an experiment that can be built.

        Raises:
            InputError: a key of the space is none, a value is out of its range, or trials would
                spend a budget.
        """
        values = {key: value for key, value in values.items() if key != "tune"}
        space = search_space(spec)
        found = cls(values, folder, spec, space, build_beside(values, folder))
        if found.experiment.is_private:
            raise InputError(
                f"[privacy] kind = '{found.experiment.mechanism.kind}': each trial would spend the "
                f"whole budget again, and to choose by validation is a release that no ledger pays "
                f"for; tune with privacy.kind = 'none' on data that are public, and run what was "
                f"found under the budget"
            )
        for key, own in space.items():
            for value in (own.low, own.high) if isinstance(own, Range) else own:
                found.with_values({key: value})
        return found

    def with_values(self, chosen: dict[str, Any]) -> Experiment:
        """The experiment of a trial.

        Raises:
            InputError: it cannot be built.
        """
        return build_beside(self.tables(chosen), self.folder)

    def tables(self, chosen: dict[str, Any]) -> dict[str, Any]:
        """The file's values with others in their places."""
        values = copy.deepcopy(self.values)
        for key, value in chosen.items():
            put(values, key, value)
        return values

    @property
    def own(self) -> dict[str, Any]:
        """The file's own values of what is searched, as far as the space has them."""
        resolved = flat(self.experiment.resolved())
        there = {key: resolved[key] for key in self.space if key in resolved}
        return {key: value for key, value in there.items() if _inside(self.space[key], value)}

    def digest(self, data: str) -> str:
        """What makes trials comparable: settings, space and data."""
        space = {k: dict(v) if isinstance(v, Range) else list(v) for k, v in self.space.items()}
        facts = [self.experiment.identity(), space, data]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def tune(
    tuning: Tuning,
    out: Path,
    data_dir: Path | None = None,
    resume: bool = False,
    device: str = "auto",
) -> Iterator[Trial]:
    """Try settings until there are as many trials as asked for, and write the best, ``best.toml``.

    Args:
        tuning: what to try.
        out: a folder for the database and the result.
        data_dir: where the data set's files lie.
        resume: go on with a search that is there; one that is missing is started.
        device: ``auto``, ``cpu`` or ``cuda``.

    Yields:
        each trial when it has ended.

    Raises:
        InputError: a search is there already, or another one; bad data; trials that all fail.
    """
    target = choose_device(device)
    _check_there(out, resume)
    prepared = prepare(tuning.experiment, data_dir)
    out.mkdir(parents=True, exist_ok=True)
    study = _study(tuning, out, prepared)
    while len(done := _ended(study)) < tuning.spec.trials:
        if len(done) >= FAILURES and not any(trial.value is not None for trial in done):
            raise InputError(f"the first {len(done)} trials failed: {study.trials[-1].user_attrs}")
        _attempt(tuning, study, prepared, target, out)
        write_best(tuning, study, out)
        yield _ended(study)[-1]


def _attempt(
    tuning: Tuning, study: Any, prepared: PreparedExperiment, device: torch.device, out: Path
) -> None:
    """One trial, to its end, or to the round at which it is given up."""
    states, trial = _optuna().trial.TrialState, study.ask()
    chosen = {key: _suggested(trial, key, own) for key, own in tuning.space.items()}
    best = -1.0
    try:
        with closing(validations(tuning.with_values(chosen), prepared, device, out)) as steps:
            for number, value in steps:
                best = max(best, value)
                trial.report(value, number)
                if trial.should_prune():
                    study.tell(trial, state=states.PRUNED)
                    return
        study.tell(trial, best)
    except InputError as error:
        trial.set_user_attr(WHY, str(error))
        study.tell(trial, state=states.FAIL)
        logger.warning("trial %d failed: %s", trial.number, error)


def trials_of(out: Path) -> list[Trial]:
    """The trials of a search, in their order."""
    return _ended(load(out))


def load(out: Path) -> Any:
    """The study of a search."""
    return _optuna().load_study(study_name="tune", storage=_storage(out))


def write_best(tuning: Tuning, study: Any, out: Path) -> None:
    """Write the best settings so far as an experiment that runs; nothing before there are any."""
    done = [trial for trial in _ended(study) if trial.state == "complete"]
    if not done:
        return
    best = max(done, key=lambda trial: trial.value or 0.0)
    values = tuning.tables(best.values) | {"name": f"{tuning.experiment.name}-tuned"}
    for key in tuning.experiment.source.files:
        # seen from where the file is now
        there = tuning.folder / str(values["data"].get(key))
        if there.exists():
            values["data"][key] = os.path.relpath(there, out)
    found = f"validation {SELECTED_BY.upper()} {best.value:.4f}"
    head = (
        f"# Trial {best.number + 1} of {len(_ended(study))}: {found}.\n"
        f"# Chosen on the validation of these data: no guarantee for the same people covers it.\n"
    )
    write_atomically(out / BEST, (head + tomli_w.dumps(values)).encode())


def _check_there(out: Path, resume: bool) -> None:
    if (out / DATABASE).exists() and not resume:
        raise InputError(
            f"{out} already holds a search: go on with --resume, or name another with --out"
        )


def _study(tuning: Tuning, out: Path, prepared: PreparedExperiment) -> Any:
    """The study in its file; trials that a kill cut off are given up, not counted."""
    optuna = _optuna()
    seed, fresh = tuning.experiment.seed, not (out / DATABASE).exists()
    study = optuna.create_study(
        study_name="tune", storage=_storage(out), direction="maximize", load_if_exists=True
    )
    digest = tuning.digest(prepared.facts["digest"])
    if fresh:
        study.set_user_attr("digest", digest)
        study.enqueue_trial(tuning.own)
    elif study.user_attrs.get("digest") != digest:
        raise InputError(
            f"{out} holds a search with other settings, space or data: name another with --out"
        )
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    # a search that goes on draws other values than the ones it began with
    seed += len(study.trials)
    sampler = optuna.samplers
    study.sampler = (
        sampler.TPESampler(seed=seed, multivariate=False, n_startup_trials=STARTUP + 1)
        if tuning.spec.sampler == "tpe"
        else sampler.RandomSampler(seed=seed)
    )
    pruners = optuna.pruners
    pruner = pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=_warmup(tuning))
    study.pruner = pruner if tuning.spec.pruning else pruners.NopPruner()
    return study


def _warmup(tuning: Tuning) -> int:
    """Rounds before a trial may be given up: a fifth of them."""
    return tuning.experiment.federation.rounds // 5


def _suggested(trial: Any, key: str, own: Range | Choices) -> Any:
    if not isinstance(own, Range):
        return trial.suggest_categorical(key, list(own))
    suggest = trial.suggest_int if own.whole else trial.suggest_float
    return suggest(key, own.low, own.high, log=own.log)


def _inside(own: Range | Choices, value: Any) -> bool:
    if not isinstance(own, Range):
        return value in own
    return isinstance(value, int | float) and own.low <= value <= own.high


def _ended(study: Any) -> list[Trial]:
    found = []
    for each in study.get_trials(deepcopy=False):
        state = each.state.name.lower()
        # one that failed without a reason was cut off by a kill
        if each.state.is_finished() and (state != "fail" or WHY in each.user_attrs):
            last = max(each.intermediate_values, default=0)
            best = max(each.intermediate_values.values(), default=None)
            found.append(Trial(each.number, dict(each.params), best, last, state))
    return found


def _storage(out: Path) -> str:
    return f"sqlite:///{out / DATABASE}"


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtra("ufgraphfr tune", "tune") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
