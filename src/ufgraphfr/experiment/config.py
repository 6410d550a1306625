"""An experiment as a TOML file says it: one table for each seam, every key checked."""

import copy
import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.baselines import BASELINES
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.derived import AUTO, Derived
from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.core.spec import Registry, Spec, parse
from ufgraphfr.data.client_batches import Negatives
from ufgraphfr.data.interactions import MIN_INTERACTIONS
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.data.sources.base import Source
from ufgraphfr.data.split import COLD_LEAST
from ufgraphfr.experiment.accounted import check_accounted, is_private
from ufgraphfr.experiment.auto import derivable, left_open, without_auto
from ufgraphfr.experiment.evaluation_spec import EvaluationSpec
from ufgraphfr.experiment.run_spec import RunSpec
from ufgraphfr.experiment.schemas import CONFIG
from ufgraphfr.experiment.settings import flat, put
from ufgraphfr.experiment.tune_spec import TuneSpec
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.privacy.base import PrivacySpec
from ufgraphfr.text import ENCODERS
from ufgraphfr.text.base import Encoder

DEFAULT_KINDS = {"data": "ml-100k", "text": "use", "algorithm": "ufgraphformer", "privacy": "none"}
TABLES = ("data", "protocol", "text", "algorithm", "federation", "privacy", "evaluation", "run")
KEYS = ("schema", "name", "seed", *TABLES, "derived", "tune")


class ProtocolSpec(Spec):
    """How the data is split and negatives are drawn; the ``[protocol]`` table."""

    split: Literal["leave-one-out", "global-time", "given"] = "leave-one-out"
    """``global-time`` splits at two dates that are the same for everybody; ``given`` is what the
    data say, by files or by a column."""
    train_until: float = Field(0.8, gt=0, lt=1)
    """``global-time``: share of all interactions before the first date, trained on."""
    validate_until: float = Field(0.9, gt=0, lt=1)
    """``global-time``: share before the second date, from which on the test asks."""
    targets: int = Field(1, ge=1)
    """Held-out items of each user, for the test and again for the validation; see `Split`."""
    negatives: Negatives = "honest"
    """``legacy-leaky`` spares held-out items as training negatives, which marks them."""
    cold_users: float = Field(0.0, ge=0, lt=1)
    """Share of users, among those with enough items, that never train; leave-one-out only."""
    cold_least: int = Field(COLD_LEAST, ge=MIN_INTERACTIONS)
    """How many items are enough; after fewer than 20, fewer than ten are asked for."""
    cold_fold: int = Field(0, ge=0)
    """Which share it is, from 0: of the five folds of cold_users = 0.2 each user is in one."""
    cold_items: float = Field(0.0, ge=0, lt=1)
    """Share of items that are kept out of all training histories; leave-one-out only."""

    @model_validator(mode="after")
    def _fits(self) -> "ProtocolSpec":
        first, second = self.train_until, self.validate_until
        folds = int(1 / self.cold_users + 1e-9) if self.cold_users else 1
        if self.cold_fold >= folds:
            raise ValueError(
                f"cold_fold = {self.cold_fold}: cold_users = {self.cold_users} makes {folds} "
                f"fold(s), counted from 0"
            )
        if self.split != "global-time" and (first, second) != (0.8, 0.9):
            raise ValueError("train_until and validate_until go with split = 'global-time'")
        if self.split == "given" and self.targets != 1:
            raise ValueError("targets: split = 'given' asks for all that is held out; leave it out")
        if self.split == "leave-one-out":
            return self
        if first >= second:
            raise ValueError(
                f"train_until = {first} must be below validate_until = {second}: "
                f"the validation lies between the two dates"
            )
        if self.cold_users:
            why = ": under global-time new users come by themselves"
            why = f"'leave-one-out'{why if self.split == 'global-time' else ''}; leave it out"
            raise ValueError(f"cold_users = {self.cold_users} goes with split = {why}")
        if self.cold_items:
            raise ValueError(
                f"cold_items = {self.cold_items} goes with split = 'leave-one-out': leave it out"
            )
        return self


@dataclass(frozen=True)
class Experiment:
    """A checked experiment: everything that decides its result.

    Attributes:
        folder: where files that it names are looked for, if it was read from one; it decides
            nothing.
        auto: keys, as ``table.key``, that are to be derived from the data; until then they have
            their defaults.
        derived: keys that were, and why; it decides nothing, their values do.
    """

    name: str
    seed: int
    source: Source
    protocol: ProtocolSpec
    encoder: Encoder
    model: Algorithm | Baseline
    federation: FederationSpec
    mechanism: PrivacySpec
    evaluation: EvaluationSpec
    baselines: tuple[Baseline, ...]
    run: RunSpec
    folder: Path | None = field(default=None, compare=False)
    auto: frozenset[str] = frozenset()
    derived: tuple[Derived, ...] = field(default=(), compare=False)

    def resolved(self) -> dict[str, Any]:
        """Every key with its value, ready to be written as TOML and read again."""
        return self._tables(exclude_defaults=False)

    def changed(self) -> dict[str, Any]:
        """The same without the keys whose values are the defaults, and without empty tables.

        A key that is added later, with a default, changes nothing here.
        """
        tables = self._tables(exclude_defaults=True)
        return {key: value for key, value in tables.items() if value != {}}

    def identity(self) -> dict[str, Any]:
        """What makes it this experiment: what was changed, without names of the run and of files.

        Which data a file holds is told by the digest of the data. Baselines, metrics, trackers and
        what other runs may spend change nothing of it, so a run may be finished with others.
        """
        tables = copy.deepcopy(self.changed())
        for key in ("name", "derived", "run"):
            tables.pop(key, None)
        for key in self.source.files:
            tables["data"].pop(key, None)
        # it says again what the algorithm's key says
        tables.get("evaluation", {}).pop("table", None)
        tables.get("evaluation", {}).pop("baselines", None)
        tables.get("evaluation", {}).pop("metrics", None)
        tables.get("privacy", {}).pop("total_epsilon", None)
        return {"schema": CONFIG.version} | {
            key: value for key, value in tables.items() if value != {}
        }

    @property
    def digest(self) -> str:
        """sha256 of the identity."""
        return _digest(self.identity())

    @property
    def group(self) -> str:
        """sha256 of the identity but for the seed: what runs over several seeds have in common."""
        return _digest(self.identity() | {"seed": None})

    @property
    def is_private(self) -> bool:
        """Whether what is released is paid for from a budget."""
        return is_private(self.mechanism)

    def located_source(self, data_dir: Path | None = None) -> Source:
        """The data set in use, its files looked for in ``data_dir``, then in `folder`."""
        source = self.source.under_budget() if self.is_private else self.source
        return source.located(*(place for place in (data_dir, self.folder) if place))

    @property
    def parts(self) -> dict[str, Spec]:
        """What each table of the file became."""
        return {
            "data": self.source,
            "protocol": self.protocol,
            "text": self.encoder,
            "algorithm": self.model,
            "federation": self.federation,
            "privacy": self.mechanism,
            "evaluation": self.evaluation,
            "run": self.run,
        }

    def _tables(self, exclude_defaults: bool) -> dict[str, Any]:
        tables = {
            name: ({"kind": part.kind} if name in DEFAULT_KINDS else {})
            | part.model_dump(mode="json", exclude_none=True, exclude_defaults=exclude_defaults)
            for name, part in self.parts.items()
        }
        for key in sorted(self.auto):
            put(tables, key, AUTO)
        reasons: dict[str, Any] = {}
        for each in self.derived:
            put(reasons, each.key, each.why)
        told = {"derived": reasons} if reasons else {}
        return {"name": self.name, "seed": self.seed, **tables, **told}


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def build(values: dict[str, Any]) -> Experiment:
    """Check the values of an experiment, as read from TOML: seed, name, a dict for each table.

    Raises:
        InputError: an unknown key (the nearest valid one is offered), or a bad value.
    """
    for key, value in values.items():
        if key not in KEYS:
            raise InputError(f"the experiment has no key '{key}': {nearest(key, KEYS)}")
        if key in (*TABLES, "derived", "tune") and not isinstance(value, dict):
            raise InputError(f"'{key}' = {value!r} must be a table: write [{key}]")
    CONFIG.check(version_in(values), "the experiment")
    seed = values.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"seed = {seed!r} must be a whole number from 0 to 2**63 - 1")
    name = values.get("name", "run")
    if not isinstance(name, str) or name.strip(". ") == "" or "/" in name:
        raise InputError(f"name = {name!r} must be a string that can name a folder, without '/'")
    parse(TuneSpec, values.get("tune", {}), "[tune]")
    kinds = {t: str(values.get(t, {}).get("kind", kind)) for t, kind in DEFAULT_KINDS.items()}
    experiment = _built(without_auto(values, derivable(kinds)), seed, name)
    check_accounted(experiment.mechanism, experiment.federation, experiment.model)
    told, now = flat(values.get("derived", {})), flat(experiment.resolved())
    return replace(
        experiment,
        # a derived value may be the default, and is settled
        auto=left_open(experiment.parts) - told.keys(),
        derived=tuple(Derived(key, now.get(key), str(why)) for key, why in told.items()),
    )


def _built(values: dict[str, Any], seed: int, name: str) -> Experiment:
    evaluation = parse(EvaluationSpec, values.get("evaluation", {}), "[evaluation]")
    return Experiment(
        name=name,
        seed=seed,
        source=_part(SOURCES, "data", values),
        protocol=parse(ProtocolSpec, values.get("protocol", {}), "[protocol]"),
        encoder=_part(ENCODERS, "text", values),
        model=_model(values, evaluation),
        federation=parse(FederationSpec, values.get("federation", {}), "[federation]"),
        mechanism=_part(MECHANISMS, "privacy", values),
        evaluation=evaluation,
        baselines=tuple(
            BASELINES.build(kind, {}, f"[evaluation] baselines {kind}")
            for kind in evaluation.baselines
        ),
        run=parse(RunSpec, values.get("run", {}), "[run]"),
    )


def version_in(values: dict[str, Any]) -> int:
    """The version of an experiment's keys; 1, the first, if it says none.

    Raises:
        InputError: it is no version.
    """
    version = values.get("schema", 1)
    if not isinstance(version, int) or version < 1:
        raise InputError(f"schema = {version!r} must be a whole number from 1: leave it out")
    return version


def _part(registry: Registry[Any], table: str, values: dict[str, Any]) -> Any:
    given = dict(values.get(table, {}))
    kind = given.pop("kind", DEFAULT_KINDS[table])
    return registry.build(str(kind), given, f"[{table}]")


def _model(values: dict[str, Any], evaluation: EvaluationSpec) -> Algorithm | Baseline:
    """The algorithm or, as the same table may name one, the baseline."""
    given = dict(values.get("algorithm", {}))
    kind = str(given.pop("kind", DEFAULT_KINDS["algorithm"]))
    if kind.replace("_", "-") in BASELINES.kinds:
        return BASELINES.build(kind, given, "[algorithm]")
    if "." not in kind and kind.replace("_", "-") not in ALGORITHMS.kinds:
        both = (*ALGORITHMS.kinds, *BASELINES.kinds)
        raise InputError(f"no algorithm or baseline '{kind}': {nearest(kind, both)}")
    if evaluation.table is not None:
        if "evaluated_table" not in ALGORITHMS.find(kind).model_fields:
            raise InputError(
                f"[evaluation] table = '{evaluation.table}': {kind} has no local and received "
                f"table to choose from; leave the key out"
            )
        given["evaluated_table"] = evaluation.table
    return ALGORITHMS.build(kind, given, "[algorithm]")
