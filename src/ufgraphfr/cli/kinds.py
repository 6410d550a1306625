"""What a TOML file may name: the kinds of every seam, and the tables that have no kinds."""

from collections.abc import Iterator
from typing import Any

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.audit.attacks import ATTACKS
from ufgraphfr.baselines import BASELINES
from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.core.spec import Registry, Spec
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.evaluation.metrics import METRICS
from ufgraphfr.experiment.config import ProtocolSpec
from ufgraphfr.experiment.evaluation_spec import EvaluationSpec
from ufgraphfr.experiment.run_spec import RunSpec
from ufgraphfr.experiment.tune_spec import TuneSpec
from ufgraphfr.federation.adversaries import ADVERSARIES
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.defences import DEFENCES
from ufgraphfr.federation.transports import TRANSPORTS
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.text import ENCODERS
from ufgraphfr.trackers import TRACKERS

SEAMS: dict[str, Registry[Any]] = {
    "[data]": SOURCES,
    "[text]": ENCODERS,
    "[algorithm]": ALGORITHMS,
    "[algorithm], [evaluation] baselines": BASELINES,
    "[evaluation] metrics": METRICS,
    "[privacy]": MECHANISMS,
    "[federation.adversary]": ADVERSARIES,
    "[federation.defence]": DEFENCES,
    "[federation] transport": TRANSPORTS,
    "[run] trackers": TRACKERS,
}
"""By the place that names the kind."""
TABLES: dict[str, type[Spec]] = {
    "[protocol]": ProtocolSpec,
    "[federation]": FederationSpec,
    "[evaluation]": EvaluationSpec,
    "[run]": RunSpec,
    "[tune]": TuneSpec,
}
AUDIT = "ufgraphfr audit --attack"


def every() -> Iterator[tuple[str, str, type[Spec]]]:
    """Where it is named, its kind, and its class: tables, then kinds, then attacks."""
    for table, spec in TABLES.items():
        yield table, table.strip("[]"), spec
    for table, registry in SEAMS.items():
        for kind in registry.kinds:
            yield table, kind, registry.find(kind)
    for kind in ATTACKS.kinds:
        yield AUDIT, kind, ATTACKS.find(kind)


def named(kind: str) -> list[tuple[str, str, type[Spec]]]:
    """Everything of that name; a dotted kind is imported.

    Raises:
        InputError: there is nothing of that name.
    """
    if "." in kind:
        return [_outside(kind.partition("@")[0])]
    # a metric may be named with its k
    name = kind.partition("@")[0].replace("_", "-")
    found = [each for each in every() if each[1] == name]
    if not found:
        raise InputError(f"no kind '{kind}': {nearest(kind, {each[1] for each in every()})}")
    return found


def _outside(kind: str) -> tuple[str, str, type[Spec]]:
    for table, registry in SEAMS.items():
        try:
            return table, kind, registry.find(kind)
        except InputError as error:
            told = error
    raise told
