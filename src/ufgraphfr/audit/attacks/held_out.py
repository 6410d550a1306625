"""A client's next items, from the rows it never moves.

Where training negatives are drawn outside a client's history and its held-out items, exactly the
held-out items never move. With honest negatives they move like any other.
"""

from typing import ClassVar

import torch

from ufgraphfr.audit.attacks._rows import Case, moved, upload_findings
from ufgraphfr.audit.attacks.base import Attack, Finding
from ufgraphfr.audit.recording import Recording


class HeldOut(Attack):
    """Looks for validation and test items among the rows that moved least often."""

    question: ClassVar[str] = "a client's held-out items, over several rounds"

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        items = recording.prepared.setting.items
        measured: dict[str, list[Case]] = {}
        for name, client, tables in recording.repeated():
            others = ~recording.history(client)
            truth = recording.held_out(client)[others]
            if tables[0].shape[1] != items and bool(truth.any()):
                often = torch.stack([moved(table)[1] for table in tables]).double().mean(0)[others]
                measured.setdefault(name, []).append((-often, often == 0, truth))
        return upload_findings(measured, "held-out items from rows that never move")
