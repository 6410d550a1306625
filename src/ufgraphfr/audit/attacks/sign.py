"""Which items a client likes, from the direction of the rows that one upload moves.

See `_rows.side`: one singular vector separates a client's items from its drawn negatives.
"""

from typing import ClassVar

from ufgraphfr.audit.attacks._rows import Case, moved, side, upload_findings
from ufgraphfr.audit.attacks.base import Attack, Finding
from ufgraphfr.audit.recording import Recording, Upload


class Sign(Attack):
    """Separates liked items from negatives among the rows that moved."""

    question: ClassVar[str] = "which of the touched items a client likes, from one upload"

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        measured: dict[str, list[Case]] = {}
        for name in recording.tables:
            uploads = recording.last(name)
            # counts have no sides
            if any(bool((upload.tables[name] < 0).any()) for upload in uploads):
                measured[name] = [_separated(upload, name, recording) for upload in uploads]
        return upload_findings(measured, "liked among moved rows")


def _separated(upload: Upload, name: str, recording: Recording) -> Case:
    rows = moved(upload.tables[name])[1]
    along = side(upload.tables[name][rows])
    return along, along > 0, recording.history(upload.client)[rows]
