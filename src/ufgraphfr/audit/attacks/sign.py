"""Which items a client likes, from the direction of the rows that one upload moves.

See `_rows.side`: one singular vector separates a client's items from its drawn negatives.
"""

from typing import ClassVar

from torch import Tensor

from ufgraphfr.audit.attacks._rows import by_table, moved, side, upload_findings
from ufgraphfr.audit.attacks.base import Attack, Finding
from ufgraphfr.audit.recording import Recording, Upload


class Sign(Attack):
    """Separates liked items from negatives among the rows that moved."""

    question: ClassVar[str] = "which of the touched items a client likes, from one upload"

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        measured = {
            name: [self._separated(upload, name, recording) for upload in recording.last(name)]
            for name in by_table(recording)
            # counts have no sides
            if any(bool((upload.tables[name] < 0).any()) for upload in recording.last(name))
        }
        return upload_findings(measured, "liked among moved rows")

    @staticmethod
    def _separated(
        upload: Upload, name: str, recording: Recording
    ) -> tuple[Tensor, Tensor, Tensor]:
        table, truth = upload.tables[name], recording.history(upload.client)
        rows = moved(table)[1]
        along = side(table[rows])
        return along, along > 0, truth[rows]
