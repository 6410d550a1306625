"""Federated recommendation that is accurate, private by proof, and deployable.

Names are imported when they are first used: ``import ufgraphfr`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ufgraphfr.algorithms.base import Algorithm, Setting, Update
    from ufgraphfr.api import Run, compare, load_data, open_run, recommend, run
    from ufgraphfr.audit.attacks.base import Attack
    from ufgraphfr.baselines.base import Baseline
    from ufgraphfr.core.arrays.sparse_rows import Rows
    from ufgraphfr.core.arrays.tables import SharedTable
    from ufgraphfr.core.errors import InputError, MissingExtra
    from ufgraphfr.core.keys import Key, Purpose
    from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
    from ufgraphfr.core.releases import Budget, Release
    from ufgraphfr.core.spec import Spec
    from ufgraphfr.data.client_batches import ClientBatch
    from ufgraphfr.data.dataset import Card, Dataset
    from ufgraphfr.data.sources.base import Source
    from ufgraphfr.evaluation.metrics.base import ListMetric, RankMetric, TopLists
    from ufgraphfr.experiment.config import Experiment
    from ufgraphfr.federation.adversaries.base import Adversary
    from ufgraphfr.federation.defences.base import Defence
    from ufgraphfr.federation.simulation import Clients
    from ufgraphfr.federation.transport import Response, Transport
    from ufgraphfr.federation.transports.base import TransportSpec
    from ufgraphfr.privacy.base import Mechanism, PrivacySpec, ReleasePlan
    from ufgraphfr.text.base import Encoder

__version__ = "0.2.0"

_HOMES = {
    "algorithms.base": ("Algorithm", "Setting", "Update"),
    "api": ("Run", "compare", "load_data", "open_run", "recommend", "run"),
    "audit.attacks.base": ("Attack",),
    "baselines.base": ("Baseline",),
    "core.arrays.sparse_rows": ("Rows",),
    "core.arrays.tables": ("SharedTable",),
    "core.errors": ("InputError", "MissingExtra"),
    "core.keys": ("Key", "Purpose"),
    "core.messages": ("Aggregation", "Private", "Report", "State", "Task"),
    "core.releases": ("Budget", "Release"),
    "core.spec": ("Spec",),
    "data.client_batches": ("ClientBatch",),
    "data.dataset": ("Card", "Dataset"),
    "data.sources.base": ("Source",),
    "evaluation.metrics.base": ("ListMetric", "RankMetric", "TopLists"),
    "experiment.config": ("Experiment",),
    "federation.adversaries.base": ("Adversary",),
    "federation.defences.base": ("Defence",),
    "federation.simulation": ("Clients",),
    "federation.transport": ("Response", "Transport"),
    "federation.transports.base": ("TransportSpec",),
    "privacy.base": ("Mechanism", "PrivacySpec", "ReleasePlan"),
    "text.base": ("Encoder",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Adversary",
    "Aggregation",
    "Algorithm",
    "Attack",
    "Baseline",
    "Budget",
    "Card",
    "ClientBatch",
    "Clients",
    "Dataset",
    "Defence",
    "Encoder",
    "Experiment",
    "InputError",
    "Key",
    "ListMetric",
    "Mechanism",
    "MissingExtra",
    "PrivacySpec",
    "Private",
    "Purpose",
    "RankMetric",
    "Release",
    "ReleasePlan",
    "Report",
    "Response",
    "Rows",
    "Run",
    "Setting",
    "SharedTable",
    "Source",
    "Spec",
    "State",
    "Task",
    "TopLists",
    "Transport",
    "TransportSpec",
    "Update",
    "__version__",
    "compare",
    "load_data",
    "open_run",
    "recommend",
    "run",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module 'ufgraphfr' has no attribute '{name}'")
        found = getattr(importlib.import_module(f"ufgraphfr.{_HOME_OF[name]}"), name)
        globals()[name] = found
        return found
