"""What a person sets of the flagship: a switch or a table for each part, and how they are fused."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from ufgraphfr.algorithms.ufgraphformer.graph.config import GraphSpec
from ufgraphfr.algorithms.ufgraphformer.graph.profile import ProfileSpec
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_items import ColdItemsSpec
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_users import ColdUsersSpec
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.algorithms.ufgraphformer.sequence.config import SequenceSpec
from ufgraphfr.models.transformer import check_heads
from ufgraphfr.ops.fusion import Squash


class FlagshipSpec(SequenceSpec):
    """Hyper-parameters of the flagship; the Transformer's are those of `SequenceSpec`."""

    renamed: ClassVar[dict[str, str]] = {
        **{key: f"adam.{key}" for key in ("lr", "warmup", "betas", "average")},
        "newcomers": "cold_users",
        "new_items": "cold_items",
    }

    graph: GraphSpec | Literal[False] = GraphSpec()
    """The item graph."""
    transformer: bool = True
    """The sequence Transformer."""
    lightgcn: bool = False
    """LightGCN of one layer, trained in the Transformer's rounds; it needs the graph's item
    counts."""
    head: bool = True
    """The device's own preference for public item features; it needs the graph's item counts, and
    a data set with item features."""
    profile: ProfileSpec | Literal[False] = ProfileSpec()
    """What users with like texts have; it needs `text` and the graph's rounds, and says nothing
    where texts say nothing of what users like."""
    cold_users: ColdUsersSpec | Literal[False] = ColdUsersSpec()
    """Whether users of whom little is known are served from what others have; it needs the
    graph's rounds."""
    cold_items: ColdItemsSpec | None = None
    """How items that nobody has are scored from what is public of them; without it they are last,
    or ranked by what little the head and the features' part of the item vectors say."""
    squash: Squash = "log"
    """How the parts' z-scores get lighter tails before they are fused: log(1 + |z|), or 2 (sqrt(1 +
    |z|) - 1), which leaves more of them."""
    history_length: bool = False
    """Whether the parts' weights depend on how long a history is, see `ops.bends`."""
    absence: bool = False
    """Whether they depend on how long a user was away; times have to be dates."""
    private: PrivateSpec | None = None
    """What this model becomes under a privacy budget, where its defaults do not fit."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_heads(self.heads, self.dim)
        if not self.transformer and self.graph is False:
            raise ValueError("graph = false and transformer = false leave nothing: keep one part")
        if self.cold_items is not None and self.graph is False:
            raise ValueError("cold_items needs the graph's item counts to know which are new")
        return self
