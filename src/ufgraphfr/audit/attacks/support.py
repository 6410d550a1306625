"""Which items a client has, from the rows that one upload moves.

Rows that training does not touch have exactly zero change: what moved is the client's items and
the negatives it drew.
"""

from typing import ClassVar

from ufgraphfr.audit.attacks._rows import moved, upload_findings
from ufgraphfr.audit.attacks.base import Attack, Finding
from ufgraphfr.audit.recording import Recording


class Support(Attack):
    """Reads the rows that are not zero."""

    question: ClassVar[str] = "which items a client touched, from one upload"

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        measured = {
            name: [
                (*moved(upload.tables[name]), recording.history(upload.client))
                for upload in recording.last(name)
            ]
            for name in recording.tables
        }
        return upload_findings(measured, "own items from moved rows")
