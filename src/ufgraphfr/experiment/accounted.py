"""A guarantee goes with the model it protects, and with the way in which clients are asked."""

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.baselines.base import Baseline
from ufgraphfr.core.errors import InputError
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.privacy.base import PrivacySpec


def is_private(mechanism: PrivacySpec) -> bool:
    """Whether what is released is paid for from a budget."""
    return mechanism.budget(1) is not None


def check_accounted(
    mechanism: PrivacySpec, federation: FederationSpec, model: Algorithm | Baseline
) -> None:
    """Check the tables of an experiment against each other.

    Raises:
        InputError: what they say together would hold nothing.
    """
    trust = getattr(mechanism, "trust", "server")
    if federation.sampling == "poisson" and trust != "server":
        raise InputError(
            f'[federation] sampling = "poisson" hides who takes part, but under [privacy] trust = '
            f'"{trust}" data holders are asked, and the server draws and would know: use "fixed" '
            f'or "rotation"'
        )
    if not isinstance(model, Algorithm) and is_private(mechanism):
        raise InputError(
            f"[privacy] kind = '{mechanism.kind}' protects what clients upload, but {model.kind} "
            f"is fitted to everybody's rows in one place: choose an algorithm, or kind = 'none'"
        )
