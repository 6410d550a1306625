"""What a privacy mechanism must offer: a half on the device and a half on the server."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ufgraphfr.core.arrays.protocol import Plain
from ufgraphfr.core.derived import Derived
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report
from ufgraphfr.core.releases import Budget, Release
from ufgraphfr.core.spec import Spec
from ufgraphfr.privacy.accounted.ledger import Ledger

Arrays = Mapping[str, Plain]
"""Each client's own arrays, by name."""


class Mechanism(ABC):
    """What stands between a client's update and its release."""

    is_private: ClassVar[bool] = False
    """Whether everything it releases is paid for from a budget; nothing else may leave then."""
    per_client: ClassVar[bool] = True
    """Whether it changes each client's update, so that none may be added to others' before."""

    @abstractmethod
    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """On the device: each client's update ``[clients, ...]`` before anything is summed."""

    @abstractmethod
    def finalize(self, report: Report, key: Key) -> Report:
        """On the server: the combined report of a round, before the algorithm sees it."""

    def upload_norm_bound(self, round_number: int) -> float | None:
        """L2 length that no array of an honest client exceeds on the wire; None if unbounded."""
        return None


@dataclass(frozen=True)
class Participation:
    """How often one client's data go into a release.

    Attributes:
        release: what is released.
        rounds: of it that one client takes part in, at most.
        rate: probability of each client's own coin in each round (Poisson cohorts), or None if
            who takes part is not secret.
        expected: clients of a round, on average; the fixed denominator of means.
        repeats: how many of them are of rounds that are asked for again, see
            `ufgraphfr.privacy.central_jdp.CentralJDP.reserve`; None for what was agreed on.
    """

    release: Release
    rounds: int
    rate: float | None
    expected: float
    repeats: int | None = None


@dataclass(frozen=True)
class ReleasePlan:
    """All that a run will release.

    Attributes:
        participations: one for each part of the model.
        clients: whose data are protected.
        sums: whether the server needs no more than sums over clients.
        algorithm: its kind, for messages.
        why: one line for each part that the budget affords, or does not, and the reason.
        uncovered: what of the data counts as public and is computed from people, a sentence each.
    """

    participations: tuple[Participation, ...]
    clients: int
    sums: bool
    algorithm: str
    why: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()


class PrivacySpec(Spec, ABC):
    """The ``[privacy]`` table: fields are its keys."""

    guarantee: ClassVar[str]
    """What a run may claim, in words, where no accountant says more."""
    derived_keys: ClassVar[frozenset[str]] = frozenset()
    """Keys of an experiment that `derive` finds where nobody has set them."""

    def derive(self, clients: int) -> tuple[Derived, ...]:
        """Settings that follow from how many clients there are, where defaults do not suit."""
        return ()

    def budget(self, clients: int) -> Budget | None:
        """What a model may spend; None if nothing is accounted."""
        return None

    @abstractmethod
    def calibrate(self, plan: ReleasePlan, ledger: Ledger) -> Mechanism:
        """The mechanism for a plan, its noise calibrated before anything is released.

        Raises:
            InputError: the plan cannot keep to the budget.
        """
