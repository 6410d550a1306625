"""The options of ``ufgraphfr deploy``, and what they come to."""

from pathlib import Path
from typing import Annotated

import typer

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agreement.document import MetricsPolicy
from ufgraphfr.deploy.agreement.lifetime import Lifetime
from ufgraphfr.experiment.config import Experiment

Folder = Annotated[Path, typer.Argument(help="Folder of the deployment.")]
_FEWEST = "Users whose sum may leave a node; of fewer, nothing does."
# the second is what the release before called it
MinUsers = Annotated[int, typer.Option("--min-users", "--smallest", min=1, help=_FEWEST)]
_COUNTED_ON = (
    "Users of all nodes together, from which a budget's parts and what is left open follow. "
    "Default: --min-users at each node."
)
ExpectedUsers = Annotated[int | None, typer.Option(min=1, help=_COUNTED_ON)]
_CONSENTED = "Sums of metrics leave without noise although there is a guarantee."
ConsentedMetrics = Annotated[bool, typer.Option("--consented-metrics", help=_CONSENTED)]
_NOISED = "Sums of the test's metrics leave once, noised and paid for from the budget."
NoisedMetrics = Annotated[bool, typer.Option("--noised-metrics", help=_NOISED)]
_AGAIN = "Train on from the last release, with users and rows that came since, as a new run."
_BETTER = "Publish only if NDCG@10 is above that of the release before."
IfBetter = Annotated[bool, typer.Option("--if-better", help=_BETTER)]
Again = Annotated[bool, typer.Option("--continue", help=_AGAIN)]
_LIFETIME = (
    "What all runs together may spend on one person; without it, one run alone has a budget."
)
LifetimeEpsilon = Annotated[float | None, typer.Option(help=_LIFETIME)]
_DAYS = "The total is for any so many days, as 365; 0 is for ever."
LifetimeDays = Annotated[int, typer.Option(min=0, help=_DAYS)]
Every = Annotated[str, typer.Option(help="Between two runs, for the timer: 12h, 7d, 2w.")]
Nodes = Annotated[int, typer.Option(min=1, help="How many data holders.")]
_TRY_OUT = "Divide the data set's users among the nodes."
TryOut = Annotated[bool, typer.Option("--try-out", help=_TRY_OUT)]
_NODE_PORT = "Of a SuperNode's own runtime."
NodePort = Annotated[int, typer.Option(min=1, max=65000, help=_NODE_PORT)]
_PUBLIC_PORT = "Of the proxy, by which nodes reach the server."
PublicPort = Annotated[int, typer.Option(min=1, max=65535, help=_PUBLIC_PORT)]
_PADS = "Folder of the nodes' public pad keys for secure sums: node-1.pad and so on."
PadKeys = Annotated[Path | None, typer.Option(help=_PADS)]


def total_of(experiment: Experiment, epsilon: float | None, days: int) -> Lifetime | None:
    """A person's total, at the delta of one run."""
    if epsilon is None:
        return None
    delta = getattr(experiment.mechanism, "delta", None)
    if delta is None:
        raise InputError("--lifetime-epsilon is of a budget: [privacy] names none")
    return Lifetime(epsilon, delta, days)


def metrics_policy(consented: bool, noised: bool) -> MetricsPolicy | None:
    """Whether sums of metrics leave; None leaves it to the guarantee."""
    if consented and noised:
        raise InputError("--consented-metrics and --noised-metrics exclude each other")
    return "noised" if noised else "sums" if consented else None
