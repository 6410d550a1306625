"""Do invented clients leave a mark? An audit of the guarantee in the real arrays of the model.

Half of some canary clients, by fair coins, take part as often as the guarantee allows: through the
real client function, clipping, sum and noise, in the real arrays, and into what the real server
makes of them. What a canary uploads is its own alone (`ufgraphfr.audit.planted`) and far longer
than any clip; it is scored by how much of it is in what was released, and in each array that the
server keeps. A model with fewer numbers than there are canaries is played once for each group of
them; each canary is in one of these plays, so all of them together spend what one does. See
`ufgraphfr.audit.bounds`.
"""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.audit.attacks.base import Attack, Finding, View
from ufgraphfr.audit.bounds import (
    BoundedEstimate,
    caught_from,
    gaussian_estimate,
    measured_auc,
    one_run_epsilon,
)
from ufgraphfr.audit.canary_scores import RELEASES, Play, Scores
from ufgraphfr.audit.noise_level import noise_level
from ufgraphfr.audit.recording import Recording
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
from ufgraphfr.privacy.base import Mechanism

UNPROTECTED = 400
"""Canaries of a run without a guarantee, whom nothing hides: so many show an epsilon above 3."""
DELTA = 1e-5
"""Where no guarantee names one."""


class Canaries(Attack):
    """Tells canaries that took part from canaries that did not."""

    question: ClassVar[str] = "who took part, from everything that was released"
    otherwise: ClassVar[str] = (
        "this algorithm releases no sums, each client's own upload is what its server works with"
    )

    needs_rows: ClassVar[bool] = False

    canaries: int = Field(10_000, ge=20)
    """How many invented clients there are."""

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        if recording.algorithm.aggregation is Aggregation.PER_CLIENT:
            return []
        own = recording.fresh_mechanism()
        results = self.findings("broadcast", own, *self.play(recording, own))
        results += _noise("broadcast", Play(recording, own))
        if recording.trust == "shard" and isinstance(own, NoisedSums):
            holder = own.of_one_shard()
            results += self.findings("upload", holder, *self.play(recording, holder))
            results += _noise("upload", Play(recording, holder))
        return results

    def play(self, recording: Recording, mechanism: Mechanism) -> tuple[Scores, Tensor]:
        """Run the canaries, group by group.

        Args:
            recording: of the run.
            mechanism: the run's, before its first release.

        Returns:
            The scores, see `Play.scores`; and bool ``[canaries]``, who took part.
        """
        everyone = torch.arange(self.canaries if mechanism.is_private else UNPROTECTED)
        coins = Key(recording.experiment.seed, purpose=Purpose.CANARY_COINS)
        inside = coins.words(everyone, 0, 1)[:, 0] % 2 == 0
        play = Play(recording, mechanism)
        groups = inside.split(play.group(len(everyone)))
        shapes = {size: play.shapes(size) for size in set(map(len, groups))}
        found = [play.scores(group, shapes[len(group)]) for group in groups]
        names = dict.fromkeys(name for scores in found for name in scores)
        joined = {
            name: torch.cat(
                [
                    scores.get(name, torch.full((len(group),), math.nan, dtype=torch.float64))
                    for scores, group in zip(found, groups, strict=True)
                ]
            )
            for name in names
        }
        return joined, inside

    def findings(
        self, view: View, mechanism: Mechanism, played: Scores, inside: Tensor
    ) -> list[Finding]:
        """AUC and both lower bounds on epsilon, of all releases and of the worst array."""
        scores, ledger = played[RELEASES], getattr(mechanism, "ledger", None)
        guarantee = (ledger.guarantee if ledger is not None else None) or {}
        epsilon, delta = guarantee.get("epsilon"), guarantee.get("delta", DELTA)
        value, bound = measured_auc(scores, inside), one_run_epsilon(scores, inside, delta)
        mu, spent = gaussian_estimate(scores, inside, delta)
        most = one_run_epsilon(inside.double(), inside, delta)
        could = f"this audit could have shown {most:.3g} at most"
        catches = ""
        if epsilon is not None:
            least = caught_from(epsilon, delta, len(inside))
            catches = f"a mechanism that spends {least:.3g} is caught nine times in ten"
        note = f"{len(inside):,} canaries in the model's own arrays, delta {delta:g}"
        told = {"took part": scores[inside], "did not": scores[~inside]}
        shown = {name: tuple(own.tolist()) for name, own in told.items()}
        what, gaussian = "canaries told apart: AUC", "epsilon, Gaussian estimate"
        distance = f"mu {mu.value:.3g}, at least {mu.low:.3g}; {note}"
        where, worst = _worst(played, inside, delta)
        return [
            Finding(view, what, value.value, value.low, 0.5, True, note=note, points=shown),
            Finding(view, "epsilon, one-run bound", bound, bound, None, note=note, power=could),
            Finding(view, gaussian, spent.value, spent.low, None, note=distance, power=catches),
            Finding(view, f"{gaussian}, worst array", worst.value, worst.low, None, note=where),
        ]


def _noise(view: View, play: Play) -> list[Finding]:
    """How many times the noise is smaller than the ledger states, see `noise_level`."""
    found = noise_level(play) if isinstance(play.mechanism, NoisedSums) else None
    if found is None:
        return []
    what = "noise stated over noise measured"
    power = f"noise {found.caught_from:.3g} times too small is caught nine times in ten"
    note = f"{found.array}, of nobody's uploads; {found.numbers:,} numbers"
    return [Finding(view, what, found.ratio, found.low, None, note=note, power=power, limit=1.0)]


def _worst(played: Scores, inside: Tensor, delta: float) -> tuple[str, BoundedEstimate]:
    """The array from which canaries are told apart best, by its lower bound, and how well."""
    arrays: dict[str, tuple[Tensor, Tensor]] = {}
    for name, scores in played.items():
        there = scores.isfinite()
        taking = inside[there]
        if name != RELEASES and min(int(taking.sum()), int((~taking).sum())) > 1:
            arrays[name] = scores[there], taking
    found = {name: gaussian_estimate(*of, delta, len(arrays))[1] for name, of in arrays.items()}
    return max(found.items(), key=lambda each: each[1].low)
