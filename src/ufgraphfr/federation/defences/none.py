"""No defence: every reply that passes validation counts as it is."""

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.messages import Report
from ufgraphfr.federation.defences.base import Defence


class NoDefence(Defence):
    """The identity."""

    def combine(self, report: Report, algorithm: Algorithm, setting: Setting) -> Report:
        """See `Defence.combine`."""
        return report
