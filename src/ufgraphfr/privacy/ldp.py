"""Local differential privacy: each device noises its own few numbers, and nobody is trusted.

Noise is on every client's upload instead of on the sum, so it grows with the root of the number of
clients: only one-off releases of a few numbers survive it.
"""

from typing import ClassVar

from pydantic import Field

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.releases import Budget
from ufgraphfr.privacy.accounted import accounting
from ufgraphfr.privacy.accounted.gaussian import GaussianRelease, NoisedClients
from ufgraphfr.privacy.accounted.guarantee import local_guarantee
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.noise import secure_noise
from ufgraphfr.privacy.base import Mechanism, PrivacySpec, ReleasePlan

MOST_NUMBERS = 16
"""That one client may release."""


class LDP(PrivacySpec):
    """One release a client, noised on the device."""

    guarantee: ClassVar[str] = "user-level local differential privacy"

    epsilon: float = Field(gt=0)
    """Between any two histories that a device may hold."""
    delta: float = Field(1e-5, gt=0, lt=1)
    """Of the guarantee."""
    total_epsilon: float | None = Field(None, gt=0)
    """Most that all runs of this machine on the same data may spend together; a run that would
    spend more is refused. Without it the sum is told."""

    @property
    def _noise(self) -> float:
        # any two uploads of length 1 are up to 2 apart
        return 2 * accounting.noise_of(self.epsilon, self.delta)

    def budget(self, clients: int) -> Budget:
        """See `PrivacySpec.budget`."""
        return Budget(clients, self._noise * clients**0.5, most=MOST_NUMBERS)

    def calibrate(self, plan: ReleasePlan, ledger: Ledger) -> Mechanism:
        """See `PrivacySpec.calibrate`."""
        participation = plan.participations[0]
        norm = participation.release.norm
        if (
            len(plan.participations) > 1
            or participation.rounds > 1
            or norm is None
            or not plan.sums
        ):
            raise InputError(
                f"[privacy] kind = 'ldp' is for one release of at most {MOST_NUMBERS} numbers a "
                f"client, of a length bounded by construction; {plan.algorithm} releases more: "
                f"choose ufgraphformer, or kind = 'central-jdp'"
            )
        part = GaussianRelease(participation, self._noise, norm)
        ledger.declare(local_guarantee(self.delta, plan, part))
        return NoisedClients((part,), ledger, 1, secure_noise, MOST_NUMBERS)
