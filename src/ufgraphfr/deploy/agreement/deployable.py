"""What an experiment may not ask of those who do not see each other's data."""

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import Aggregation
from ufgraphfr.experiment.config import Experiment


def check_deployable(experiment: Experiment) -> None:
    """Check that nothing needs everybody's data in one place.

    Raises:
        InputError: something does.
    """
    if not isinstance(experiment.model, Algorithm):
        raise InputError(
            f"[algorithm] kind = '{experiment.model.kind}' needs everybody's rows in one place: "
            f"name a federated algorithm"
        )
    protocol = experiment.protocol
    if protocol.split != "leave-one-out" or protocol.cold_users or protocol.negatives != "honest":
        raise InputError(
            "[protocol]: a deployment evaluates by leave-one-out, with honest negatives and "
            "without cold users: leave those keys out"
        )
    if (
        experiment.federation.upload is not None
        and experiment.model.aggregation is Aggregation.PER_CLIENT
    ):
        raise InputError(
            f"[federation.upload]: '{experiment.model.kind}' uploads each user's own update, which "
            f"a deployment does not compress: leave the table out"
        )
    if experiment.evaluation.users is not None:
        raise InputError(
            f"[evaluation] users = {experiment.evaluation.users:,}: a deployment asks all users, "
            f"each at its node: leave the key out"
        )
