"""Secure sums in an agreement: nodes' sums leave under masks that only the total of all takes off.

The server adds masked sums up and learns nothing but their total. See `ufgraphfr.deploy.wire.pads`
for the masks and `ufgraphfr.privacy.accounted.secure_sum` for the noise.
"""

import re
from collections.abc import Mapping, Sequence

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report
from ufgraphfr.deploy.agreement.guarantee import ShardMechanism
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.privacy.accounted.secure_sum import LEAST_NODES, check_nodes

MASKED = "secure-sum"
ATTEMPT = 1
"""The only one: a sum is asked for again of the same nodes, and gets the same bytes."""


def is_masked(experiment: Experiment) -> bool:
    """Whether nodes reveal their total alone."""
    return getattr(experiment.mechanism, "trust", "") == MASKED


def least_nodes(experiment: Experiment) -> int:
    """Nodes of a total, at least: two of them may not collude."""
    return max(LEAST_NODES, tolerated(experiment) + 2)


def tolerated(experiment: Experiment) -> int:
    """How many nodes may collude with the server."""
    return int(getattr(experiment.mechanism, "tolerate", 0))


def check_masked(
    experiment: Experiment, nodes: Sequence[str], keys: Mapping[str, str], metrics: str
) -> None:
    """Check that what leaves nodes can be masked.

    Args:
        experiment: what is run.
        nodes: who takes part.
        keys: the public halves of their pad keys, by node.
        metrics: the agreement's policy.

    Raises:
        InputError: it cannot, or a key is missing.
    """
    if not is_masked(experiment):
        return
    shards = getattr(experiment.mechanism, "shards", 0)
    if shards != len(nodes):
        raise InputError(f"[privacy] shards = {shards}, but there are {len(nodes)} nodes")
    check_nodes(len(nodes), tolerated(experiment), "shards")
    if (
        not isinstance(experiment.model, Algorithm)
        or experiment.model.aggregation is not Aggregation.SUM
    ):
        raise InputError(
            f"[privacy] secure sums are of sums, but {experiment.model.kind} needs each user's own "
            f"upload: choose an algorithm that releases sums"
        )
    if experiment.federation.upload is not None:
        raise InputError(
            "[federation.upload] compresses each node's sum, which secure sums mask: leave it out"
        )
    if metrics == "noised":
        raise InputError(
            "noised metrics of secure sums are not masked yet, so the server would see each "
            "node's: let no metrics leave, or agree on consented ones"
        )
    for node in nodes:
        if not re.fullmatch("[0-9a-f]{64}", keys.get(node, "")):
            raise InputError(
                f"secure sums need a pad key made at {node}: its operator runs ufgraphfr agent "
                f"--shard shard pad-key and sends the public half, for deploy init --pad-keys"
            )
    if len({keys[node] for node in nodes}) < len(nodes):
        raise InputError("two nodes have the same pad key: each makes its own")


def check_amended(experiment: Experiment, joining: int, nodes: int) -> None:
    """Check that what is amended leaves secure sums what they promise.

    Args:
        experiment: what is run.
        joining: how many nodes come in.
        nodes: how many there are then.

    Raises:
        InputError: it does not.
    """
    if not is_masked(experiment):
        return
    if joining:
        raise InputError(
            "a node that joins secure sums makes each share of the noise smaller than was agreed "
            "on, and has no pad key: agree anew with deploy init"
        )
    if nodes < (least := least_nodes(experiment)):
        raise InputError(f"{nodes} nodes would be left, and a secure sum needs {least}: agree anew")


class MaskedShard(ShardMechanism):
    """A data holder's mechanism whose sums wait for their share of the noise, see `shares`."""

    def finalize(self, report: Report, key: Key) -> Report:
        """See `ShardMechanism.finalize`; nothing leaves in this form.

        Raises:
            BudgetSpent: it could not be paid for.
        """
        self.check(key.round)
        return report
