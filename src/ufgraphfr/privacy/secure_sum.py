"""Masks alone: the server learns the total over data holders, and no part of it.

Nothing is clipped or noised, so what the total says of a person is not bounded. Sums become whole
multiples of 2**-30, which each data holder rounds its own to: the total is off by at most 2**-31
for each of them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final

from pydantic import Field, model_validator
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, one_row
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.secure_sum import check_nodes
from ufgraphfr.privacy.base import Arrays, Mechanism, PrivacySpec, ReleasePlan

STEP: Final = 2.0**-30


class SecureSum(PrivacySpec, Mechanism):
    """Sums that the server sees in total alone."""

    guarantee: ClassVar[str] = "no privacy guarantee (the server sees totals over data holders)"
    per_client: ClassVar[bool] = False
    trust: ClassVar[str] = "secure-sum"
    tolerate: ClassVar[int] = 0

    shards: int = Field(3, ge=1)
    """How many data holders there are, from 3. Each is trusted with its own users."""

    @model_validator(mode="after")
    def _consistent(self) -> "SecureSum":
        check_nodes(self.shards, self.tolerate, "shards")
        return self

    def calibrate(self, plan: ReleasePlan, ledger: Ledger) -> Mechanism:
        """See `PrivacySpec.calibrate`; there is nothing to account for.

        Raises:
            InputError: the algorithm needs each client's own update.
        """
        if not plan.sums:
            raise InputError(
                f"[privacy] kind = 'secure-sum' lets the server see sums alone, but "
                f"{plan.algorithm} needs each client's own update: choose an algorithm that "
                f"releases sums"
            )
        return self

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`."""
        return arrays

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`: rounded, as the total of a deployment is."""
        return self.in_values(report, self.in_steps(report))

    def width(self, round_number: int) -> int:
        """Bytes of a number on the wire."""
        return 8

    def in_steps(self, report: Report) -> dict[str, Tensor]:
        """The sums in whole steps, int64; whole numbers are as they are."""
        return {
            name: (value.double() / STEP).round().long() if _rounded(value) else value.long()
            for name, value in report.sums.items()
        }

    def in_values(self, report: Report, sums: Mapping[str, Tensor]) -> Report:
        """The report of sums that are given in steps, of the kinds that its own arrays have."""
        like = report.sums
        values = {
            name: (value.double() * STEP).to(like[name].dtype) if _rounded(like[name]) else value
            for name, value in sums.items()
        }
        return replace(report, arrays=one_row(values))


def _rounded(value: Tensor) -> bool:
    return value.is_floating_point()
