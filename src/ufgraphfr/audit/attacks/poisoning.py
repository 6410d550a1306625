"""Can a few malicious clients make the model recommend a cold item, or spoil it?

The run goes on for the recorded rounds with some clients replaced by malicious ones, once behind
the default defence and once without any; see `ufgraphfr.federation.adversaries`.
"""

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from ufgraphfr.audit.attacks.base import Attack, Finding
from ufgraphfr.audit.recording import Recording
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State
from ufgraphfr.evaluation.exposure import exposure
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.metrics import summary
from ufgraphfr.federation.adversarial import AdversarialSimulation
from ufgraphfr.federation.adversaries import ADVERSARIES
from ufgraphfr.federation.adversaries.base import Adversary, Aim
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.defences import DEFENCES
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import PrivateState, private_state
from ufgraphfr.federation.scoring import device_score
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.federation.validation.checked_transport import CheckedTransport
from ufgraphfr.federation.validation.expected import Validation


class Poisoning(Attack):
    """Pushes a cold item, on one row and spread over rows, and reverses what others learn."""

    question: ClassVar[str] = "whether a few malicious clients move what everybody is shown"
    otherwise: ClassVar[str] = "a guarantee's rounds are not run again with other clients"

    share: float = Field(0.05, gt=0, lt=0.5)
    """Of the clients that are malicious."""

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        if recording.mechanism.is_private:
            return []
        findings: list[Finding] = []
        for kind in ADVERSARIES.kinds:
            if kind == "malformed":
                continue  # the checks refuse those, whatever the run
            adversary = ADVERSARIES.build(kind, {"share": self.share}, "poisoning")
            for defence in ("row-cap", "none"):
                findings += self._played(recording, adversary, defence)
        return findings

    def _played(self, recording: Recording, adversary: Adversary, defence: str) -> list[Finding]:
        """Exposure of the target and accuracy, before and after."""
        algorithm, prepared = recording.algorithm, recording.prepared
        mechanism = recording.mechanism
        private = private_state(algorithm, prepared.setting, recording.checkpoint.private).copy()
        federation = recording.experiment.federation
        clients = torch.from_numpy(prepared.split.warm)
        aim = adversary.aim(algorithm, prepared.setting, prepared.batch, clients)
        client = Client(algorithm, mechanism)
        simulation = Simulation(client, prepared.batch, private, federation.chunk)
        attacked = Local().to(AdversarialSimulation(simulation, adversary, aim))
        chosen = DEFENCES.build(defence, {}, defence)
        aggregator = Aggregator(algorithm, prepared.setting, per_client=True, defence=chosen)
        start, state = recording.round, recording.state
        last = start + recording.rounds
        before, hits_before = _exposure_and_hits(recording, state, private, start, aim)
        for done in rounds(
            aggregator,
            mechanism,
            CheckedTransport(attacked, Validation(client, prepared.setting)),
            federation.model_copy(update={"rounds": last}),
            clients,
            state,
            Key(recording.experiment.seed),
            start + 1,
        ):
            state = done.state
        after, hits_after = _exposure_and_hits(recording, state, private, last, aim)
        what = f"{adversary.kind} against {defence}"
        note = f"{len(aim.clients)} malicious clients, {recording.rounds} rounds, validation"
        lost = hits_before - hits_after
        return [
            Finding("clients", f"{what}: ER@10", after, after, before, note=note),
            Finding("clients", f"{what}: HR@10 lost", lost, lost, 0.0, note=note),
        ]


def _exposure_and_hits(
    recording: Recording, state: State, private: PrivateState, last: int, aim: Aim
) -> tuple[float, float]:
    """ER@10 of the target among honest users, and their HR@10 on validation."""
    asked, chunk = recording.prepared.validation, recording.experiment.evaluation.chunk
    score = device_score(recording.algorithm, state, private, last)
    outcome = evaluate(score, asked, chunk)
    honest = ~np.isin(outcome.users, aim.clients.numpy())
    kept = asked.clients.select((~torch.isin(asked.clients.clients, aim.clients)).nonzero()[:, 0])
    hits = summary(outcome.full[honest], outcome.users[honest])["hr@10"]
    return exposure(score, kept, aim.target, chunk=chunk), hits
