"""One experiment: from a TOML file to a run folder.

`read` or `build` an `Experiment`, then `execute` it.
"""

from typing import TYPE_CHECKING, Any

from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.reading import read

if TYPE_CHECKING:
    from ufgraphfr.experiment.runner import execute

__all__ = ["Experiment", "build", "execute", "read"]


def __getattr__(name: str) -> Any:
    # who opens a finished run needs nothing of what trains one
    if name != "execute":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from ufgraphfr.experiment.runner import execute

    return execute
