"""Search for settings by validation: trials that can be resumed, and what mattered."""

from ufgraphfr.tuning.search import Tuning, tune
from ufgraphfr.tuning.trial import Trial

__all__ = ["Trial", "Tuning", "tune"]
