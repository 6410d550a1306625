"""Does anything public depend on a user beside what the mechanism released?

See `ufgraphfr.audit.noninterference`. It trains the run twice more.
"""

from typing import ClassVar

from ufgraphfr.audit.attacks.base import Attack, Finding
from ufgraphfr.audit.noninterference import interference
from ufgraphfr.audit.recording import Recording


class Noninterference(Attack):
    """Holds the releases constant, changes one user, and compares all that is public."""

    question: ClassVar[str] = "whether anything public depends on a user, but by a release"
    otherwise: ClassVar[str] = "there is no guarantee: everything depends on everybody"

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        if not recording.mechanism.is_private:
            return []
        found = interference(recording.experiment, recording.prepared.dataset)
        count = float(len(found.public))
        note = "differs: " + ", ".join(found.public) if found.public else "all equal, bit for bit"
        if found.logged:
            note += f"; so do lines of the log, for whoever runs it: {', '.join(found.logged)}"
        power = f"the change reached {found.personal} personal files"
        what = "arrays, keys and lines that depend on a user"
        return [Finding("broadcast", what, count, count, None, limit=0.0, note=note, power=power)]
