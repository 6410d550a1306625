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
from ufgraphfr.deploy.agreement.amendment import Amendment
from ufgraphfr.deploy.agreement.guarantee import ShardMechanism
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.privacy.accounted.secure_sum import LEAST_NODES, check_nodes

MASKED = "secure-sum"
FIRST = 1
"""Attempt at a round: asked for again, it gets the same bytes; a later one is of fewer nodes."""


def is_masked(experiment: Experiment) -> bool:
    """Whether nodes reveal their total alone."""
    return getattr(experiment.mechanism, "trust", "") == MASKED


def least_nodes(experiment: Experiment) -> int:
    """Nodes of a total, at least: two of them may not collude."""
    return max(LEAST_NODES, tolerated(experiment) + 2)


def tolerated(experiment: Experiment) -> int:
    """How many nodes may collude with the server."""
    return int(getattr(experiment.mechanism, "tolerate", 0))


def reserve(experiment: Experiment) -> int:
    """How many rounds of each part may be repeated by those who are left."""
    return int(getattr(experiment.mechanism, "reserve", 0))


def check_masked(experiment: Experiment, nodes: Sequence[str], keys: Mapping[str, str]) -> None:
    """Check that what leaves nodes can be masked.

    Args:
        experiment: what is run.
        nodes: who takes part.
        keys: the public halves of their pad keys, by node.

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
    for node in nodes:
        if not re.fullmatch("[0-9a-f]{64}", keys.get(node, "")):
            raise InputError(
                f"secure sums need a pad key made at {node}: its operator runs ufgraphfr agent "
                f"--shard shard pad-key and sends the public half, for deploy init --pad-keys"
            )
    if len({keys[node] for node in nodes}) < len(nodes):
        raise InputError("two nodes have the same pad key: each makes its own")


def check_amended(
    experiment: Experiment, keys: Mapping[str, str], amendment: Amendment, nodes: int
) -> None:
    """Check that what is amended leaves secure sums what they promise.

    Args:
        experiment: what is run.
        keys: the public halves of the pad keys so far.
        amendment: says who joins, and with which keys.
        nodes: how many there are then.

    Raises:
        InputError: it does not.
    """
    joining, new = {node.name for node in amendment.join}, amendment.pad_keys
    if not is_masked(experiment):
        if new:
            raise InputError("pad keys are of secure sums, and none were agreed on")
        return
    if nodes > (most := int(getattr(experiment.mechanism, "shards", 0))):
        raise InputError(
            f"{nodes} nodes would make each share of the noise smaller than was agreed on for "
            f"{most}: let one leave, or agree anew with deploy init"
        )
    if joining != new.keys():
        raise InputError(
            f"secure sums need a pad key made at each node that joins, and no other changes: "
            f"{', '.join(sorted(joining ^ new.keys()))}; its operator runs ufgraphfr agent "
            f"--shard shard pad-key and sends the public half, for deploy amend --pad-keys"
        )
    if len({*keys.values(), *new.values()}) < len(keys) + len(new):
        raise InputError("two nodes have the same pad key: each makes its own")
    if nodes < (least := least_nodes(experiment)):
        raise InputError(f"{nodes} nodes would be left, and a secure sum needs {least}: agree anew")


class MaskedShard(ShardMechanism):
    """A data holder's mechanism whose sums wait for their share of the noise, see `shares`.

    Attributes:
        attempt: at the round that is asked for.
    """

    attempt = FIRST

    def finalize(self, report: Report, key: Key) -> Report:
        """See `ShardMechanism.finalize`; nothing leaves in this form.

        Raises:
            BudgetSpent: it could not be paid for.
        """
        self.check(key.round, self.attempt)
        return report
