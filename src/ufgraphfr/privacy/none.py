"""No mechanism: updates leave the device as they are, and nothing is guaranteed."""

from typing import ClassVar

from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Arrays, Mechanism, PrivacySpec, ReleasePlan


class NoMechanism(PrivacySpec, Mechanism):
    """The identity."""

    guarantee: ClassVar[str] = "no privacy guarantee"
    per_client: ClassVar[bool] = False

    def calibrate(self, plan: ReleasePlan, ledger: Ledger) -> Mechanism:
        """See `PrivacySpec.calibrate`; there is nothing to account for."""
        return self

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`."""
        return arrays

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`."""
        return report
