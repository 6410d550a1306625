"""Which items a client has, from all its uploads: its items move each time, negatives by chance.

On the broadcast the same idea compares rounds with a client to rounds without it.
"""

from typing import ClassVar

import torch

from ufgraphfr.audit.attacks._rows import Case, moved, upload_findings
from ufgraphfr.audit.attacks.base import Attack, Finding
from ufgraphfr.audit.bounds import measured_auc
from ufgraphfr.audit.recording import Recording


class Intersection(Attack):
    """Keeps what moved in every round of a client."""

    question: ClassVar[str] = "which items a client has, over several rounds"

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        measured: dict[str, list[Case]] = {}
        for name, client, tables in recording.repeated():
            seen = [moved(table) for table in tables]
            share = torch.stack([rows for _, rows in seen]).double().mean(0)
            # ties are broken by how far rows moved
            lengths = torch.stack([norms / norms.max().clamp(min=1e-300) for norms, _ in seen])
            case = (share + 1e-3 * lengths.mean(0), share == 1, recording.history(client))
            measured.setdefault(name, []).append(case)
        findings = upload_findings(measured, "own items from rows moved each time")
        return [*findings, *self._from_broadcast(recording)]

    @staticmethod
    def _from_broadcast(recording: Recording) -> list[Finding]:
        """Rows that move more in rounds with a client than in rounds without it."""
        names = sorted({name for public in recording.published for name in public.tables})
        items = recording.prepared.setting.items
        findings = []
        for name in names:
            rounds = [r for r in recording.published if name in r.tables]
            if len(rounds) < 2 or rounds[0].tables[name].shape[1] == items:
                continue
            lengths = torch.stack([moved(r.tables[name])[0] for r in rounds])
            lengths = lengths / lengths.mean(1, keepdim=True).clamp(min=1e-300)
            scores, truth = [], []
            for client in recording.victims.tolist():
                takes_part = torch.tensor([client in r.cohort.tolist() for r in rounds])
                if not bool(takes_part.any()) or bool(takes_part.all()):
                    continue  # in all rounds or in none: nothing to compare
                scores.append(lengths[takes_part].mean(0) - lengths[~takes_part].mean(0))
                truth.append(recording.history(client))
            if scores:
                value = measured_auc(torch.cat(scores), torch.cat(truth))
                note = f"table '{name}', {len(scores)} clients, {len(rounds)} rounds"
                what = "own items from rows that move more with the client: AUC"
                findings.append(Finding("broadcast", what, value.value, value.low, 0.5, True, note))
        return findings
