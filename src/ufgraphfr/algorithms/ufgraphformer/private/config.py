"""What a person sets of the form under a privacy budget: the ``[algorithm.private]`` table."""

from typing import ClassVar

from pydantic import Field

from ufgraphfr.core.spec import Spec


class PrivateSpec(Spec):
    """Hyper-parameters; what is None the budget decides, see `plan.plan_for`."""

    renamed: ClassVar[dict[str, str]] = {
        "counted": "history",
        "places": "history",
    }

    history: int = Field(200, ge=2)
    """Last items of a client that popularity counts, evenly."""
    linked: int = Field(1000, ge=2)
    """Last items of a client that the graph sees."""
    graph_items: int | None = Field(None, ge=0)
    """The most popular items that the graph links, 0 for no graph."""
    graph_share: float | None = Field(None, gt=0, lt=1)
    """Of the budget."""
    graph_weight: float | None = Field(None, ge=0)
    """Of the graph's scores relative to the head's."""
    profile_share: float | None = Field(None, ge=0, lt=0.9)
    """Of the budget, for what users with like profiles have; 0 leaves it out. It needs declared
    values of the profiles, ``[data] profile_values``."""
    head: bool = True
    """Whether devices fit their user's preference; without it and the graph, DP popularity is
    left."""
