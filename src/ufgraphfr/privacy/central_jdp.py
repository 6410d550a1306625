"""User-level joint differential privacy: what is broadcast is private in each user's data.

Kearns, Pai, Roth, Ullman, "Mechanism design in large games: incentives and privacy", ITCS 2014
(billboard model: Hsu et al., STOC 2014; for recommenders: Chien et al., ICML 2021). What stays on a
device (private weights, scores) costs nothing.
"""

import math
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ufgraphfr.core.derived import DELTA, Derived
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.releases import Budget
from ufgraphfr.privacy.accounted import accounting
from ufgraphfr.privacy.accounted.accounting import Gaussian
from ufgraphfr.privacy.accounted.gaussian import GaussianRelease, NoisedSums
from ufgraphfr.privacy.accounted.guarantee import Terms, central_guarantee
from ufgraphfr.privacy.accounted.layout import FINE, layout
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.noise import secure_noise, seeded_noise
from ufgraphfr.privacy.accounted.secure_sum import LEAST_NODES, check_nodes, share
from ufgraphfr.privacy.base import Mechanism, Participation, PrivacySpec, ReleasePlan


class CentralJDP(PrivacySpec):
    """Clip, sum, noise, with the noise that a budget asks for."""

    guarantee: ClassVar[str] = "user-level joint differential privacy"
    derived_keys: ClassVar[frozenset[str]] = frozenset({DELTA})

    epsilon: float = Field(gt=0)
    """Of the whole run; zero-out adjacency."""
    delta: float = Field(1e-5, gt=0, lt=1)
    """At most 1 / (10 clients); above 10,000 clients that is what it is, unless set."""
    total_epsilon: float | None = Field(None, gt=0)
    """Most that all runs of this machine on the same data may spend together; a run that would
    spend more is refused. Without it the sum is told."""
    trust: Literal["server", "shard", "secure-sum"] = "server"
    """Who adds the noise: the server; or each data holder all of it, so that the server is not
    trusted; or, from three data holders, each a share of it under a mask, so that the server learns
    nothing but their noised total."""
    shards: int = Field(1, ge=1)
    """``trust = "shard"`` and ``"secure-sum"``: how many data holders there are."""
    tolerate: int = Field(1, ge=0)
    """``trust = "secure-sum"``: how many data holders may join forces with the server before the
    promise weakens. Each adds 1 / (shards - tolerate) of the noise's variance."""
    reserve: int = Field(0, ge=0, le=100)
    """``trust = "secure-sum"``: how many rounds of each part those data holders that are left may
    repeat, after some were lost. Each is one more release, which the budget covers from the start;
    without a reserve a round waits for everybody."""
    clip: Annotated[float, Field(gt=0)] | Literal["adaptive"] = "adaptive"
    """L2 bound on all that a client uploads in a round; uploads that are bounded by construction
    keep their own."""
    row_cap: float | None = Field(None, gt=0)
    """L2 bound on what a client adds to one item's row."""
    participation_cap: int | None = Field(None, ge=1)
    """Rounds of one part that a client may take part in, at most."""
    shares: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Of the budget, by part of the model, instead of the model's own choice."""
    seeded_noise: bool = False
    """For tests: noise from the run's seed. It hides nothing, and nothing is promised."""

    @model_validator(mode="after")
    def _consistent(self) -> "CentralJDP":
        if self.shards > 1 and self.trust == "server":
            raise ValueError(f"shards = {self.shards} goes with trust = 'shard' or 'secure-sum'")
        if self.trust == "secure-sum":
            check_nodes(self.shards, self.tolerate, "shards")
        elif self.tolerate != type(self).model_fields["tolerate"].default:
            raise ValueError(f"tolerate = {self.tolerate} goes with trust = 'secure-sum'")
        elif self.reserve:
            raise ValueError(f"reserve = {self.reserve} goes with trust = 'secure-sum'")
        return self

    @property
    def share(self) -> float:
        """Of the variance that is paid for, what one data holder adds."""
        return share(self.shards, self.tolerate) if self.trust == "secure-sum" else 1.0

    @property
    def _most_noise_copies(self) -> float:
        """How often the noise that is paid for is in a total, at most: of the fewest nodes."""
        nodes = max(LEAST_NODES, self.tolerate + 2) if self.reserve else self.shards
        return nodes * share(nodes, self.tolerate)

    def derive(self, clients: int) -> tuple[Derived, ...]:
        """See `PrivacySpec.derive`: a smaller delta, where the default could publish somebody."""
        most = _most_delta(clients)
        if most >= self.delta:
            return ()
        # down to one digit, which does not tell how many clients there are
        digit = 10.0 ** math.floor(math.log10(most))
        delta = float(f"{math.floor(most / digit) * digit:.0e}")
        return (Derived(DELTA, delta, f"at most one in ten times {clients:,} clients"),)

    def budget(self, clients: int) -> Budget:
        """See `PrivacySpec.budget`."""
        # nearly all that a model asks for is released once
        noise = accounting.noise_of(self.epsilon, self.delta) * (1 + self.reserve) ** 0.5
        return Budget(clients, noise * (self.shards * self.share) ** 0.5, shares=self.shares)

    def calibrate(self, plan: ReleasePlan, ledger: Ledger) -> Mechanism:
        """See `PrivacySpec.calibrate`."""
        self._check(plan)
        plan = replace(plan, participations=tuple(map(self._with_reserve, plan.participations)))
        gaussians = tuple(self._gaussian(participation) for participation in plan.participations)
        noise = accounting.multipliers(gaussians, self.epsilon, self.delta)
        parts = tuple(
            self._part(participation, z)
            for participation, z in zip(plan.participations, noise, strict=True)
        )
        terms = Terms(
            *(self.epsilon, self.delta, self.trust, self.shards, self.tolerate, self.seeded_noise)
        )
        ledger.declare(central_guarantee(terms, plan, parts, gaussians))
        draw = seeded_noise if self.seeded_noise else secure_noise
        return NoisedSums(parts, ledger, self.shards * self.share, draw)

    def _with_reserve(self, participation: Participation) -> Participation:
        repeats = self.reserve if participation.repeats is None else participation.repeats
        most = participation.rounds + repeats
        return replace(participation, rounds=most, repeats=repeats)

    def _gaussian(self, participation: Participation) -> Gaussian:
        release = participation.release
        return Gaussian(participation.rounds, participation.rate, release.share)

    def _part(self, participation: Participation, noise: float) -> GaussianRelease:
        norm = participation.release.norm
        clip = norm if norm is not None else None if self.clip == "adaptive" else self.clip
        masked, form = self.trust == "secure-sum", FINE
        if masked:
            form = layout(participation.expected, noise * self._most_noise_copies**0.5)
        if masked and clip is None:
            raise InputError(
                f"[privacy] clip = 'adaptive' would need a count that no total of '"
                f"{participation.release.part}' holds: with trust = 'secure-sum' set a number"
            )
        part = GaussianRelease(participation, noise, clip, self.row_cap, form)
        if clip is None and part.noise >= part.count_noise:
            raise InputError(
                f"[privacy] clip = 'adaptive' needs larger cohorts: its count is noised by "
                f"{part.count_noise:.2g}, which must be above the noise multiplier {noise:.3g}; "
                f"set clip to a number, or a cohort above {20 * noise:.0f}"
            )
        return part

    def _check(self, plan: ReleasePlan) -> None:
        most = _most_delta(plan.clients)
        if self.delta > most:
            raise InputError(
                f"[privacy] delta = {self.delta:g} must be at most 1 / (10 clients) = {most:.2g}, "
                f"or it would allow to publish somebody whole"
            )
        if not plan.sums:
            raise InputError(
                f"[privacy] kind = 'central-jdp' protects sums over clients, but {plan.algorithm} "
                f"needs each client's own update: choose an algorithm that releases sums"
            )
        names = [participation.release.part for participation in plan.participations]
        for name in self.shares:
            if name not in names:
                raise InputError(
                    f"[privacy] shares names '{name}', but the parts of this model are "
                    f"{', '.join(names)}"
                )
        for participation in plan.participations:
            self._check_cohorts(participation, plan.clients)

    def _check_cohorts(self, participation: Participation, clients: int) -> None:
        cap, part = self.participation_cap, participation.release.part
        if participation.rate is None and cap is not None and participation.rounds > cap:
            raise InputError(
                f"[privacy] participation_cap = {cap}, but a client may be asked "
                f"{participation.rounds} times for '{part}': lower rounds or cohort"
            )
        # without one of them there is one coin less
        nobody = 0.0 if participation.rate is None else (1 - participation.rate) ** (clients - 1)
        if nobody * participation.release.rounds > self.delta * accounting.EMPTY:
            raise InputError(
                f"[federation] cohort: with {participation.expected:.3g} expected clients a round "
                f"may come out empty, which would show; ask for more"
            )


def _most_delta(clients: int) -> float:
    return 1 / (10 * clients)
