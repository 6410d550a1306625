"""Laplace noise without clipping, as the published code adds it; it guarantees nothing.

Noise on an update whose size is not bounded hides nothing of a large one: its sensitivity is
infinite. Kept so that published behaviour can be reproduced.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Report
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Arrays, Mechanism, PrivacySpec, ReleasePlan


class LaplaceAsPublished(PrivacySpec, Mechanism):
    """Noise of one scale on some of the arrays a client uploads."""

    guarantee: ClassVar[str] = "no privacy guarantee (Laplace noise without clipping)"

    scale: float = Field(0.1, gt=0)
    """b of the Laplace distribution; its standard deviation is b * sqrt(2)."""
    arrays: tuple[str, ...] = ("joint",)
    """Which arrays are noised; the published code noises the joint layer alone."""

    def calibrate(self, plan: ReleasePlan, ledger: Ledger) -> Mechanism:
        """See `PrivacySpec.calibrate`; there is nothing to account for."""
        return self

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`.

        Raises:
            InputError: the algorithm does not upload one of the arrays densely.
        """
        noised = dict(arrays)
        for part, name in enumerate(self.arrays):
            value = arrays.get(name)
            if value is None or value.sparse:
                dense = sorted(n for n, v in arrays.items() if not v.sparse)
                raise InputError(
                    f"[privacy] arrays names '{name}', but the algorithm uploads only "
                    f"{dense} densely: name one of those, or set as_coded = true"
                )
            flat = value.values.flatten(1)
            uniform = key.to(Purpose.NOISE, part).uniform(clients, flat.shape[1]) - 0.5
            noise = -self.scale * uniform.sign() * (1 - 2 * uniform.abs()).log()
            noisy = (flat + noise).to(value.values.dtype).view_as(value.values)
            noised[name] = value.with_values(noisy)
        return noised

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`."""
        return report
