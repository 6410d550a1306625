"""One experiment: from a TOML file to a run folder.

`read` or `build` an `Experiment`, then `execute` it.
"""

from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.reading import read
from ufgraphfr.experiment.runner import execute

__all__ = ["Experiment", "build", "execute", "read"]
