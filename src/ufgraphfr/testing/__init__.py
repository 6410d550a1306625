"""What every part owes, whoever wrote it: contract tests for parts of your own.

Each ``check_...`` raises an `AssertionError` whose sentence says which contract was broken; the
contracts of a kind are also listed one by one, for a test framework to run apart. None needs more
than what the package itself needs.
"""

from ufgraphfr.testing.algorithms import ALGORITHM_CONTRACTS, check_algorithm
from ufgraphfr.testing.baselines import BASELINE_CONTRACTS, check_baseline
from ufgraphfr.testing.checkerboard import checkerboard
from ufgraphfr.testing.encoders import ENCODER_CONTRACTS, check_encoder
from ufgraphfr.testing.mechanisms import MECHANISM_CONTRACTS, check_mechanism
from ufgraphfr.testing.metrics import METRIC_CONTRACTS, check_metric
from ufgraphfr.testing.small_federation import SmallFederation
from ufgraphfr.testing.sources import SOURCE_CONTRACTS, check_source
from ufgraphfr.testing.transports import TRANSPORT_CONTRACTS, check_transport

__all__ = [
    "ALGORITHM_CONTRACTS",
    "BASELINE_CONTRACTS",
    "ENCODER_CONTRACTS",
    "MECHANISM_CONTRACTS",
    "METRIC_CONTRACTS",
    "SOURCE_CONTRACTS",
    "TRANSPORT_CONTRACTS",
    "SmallFederation",
    "check_algorithm",
    "check_baseline",
    "check_encoder",
    "check_mechanism",
    "check_metric",
    "check_source",
    "check_transport",
    "checkerboard",
]
