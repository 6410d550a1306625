"""What a person sets of UFGraphFormer: the keys of its ``[algorithm]`` table."""

from abc import ABC
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, model_validator

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.ufgraphformer.graph.config import GraphSpec
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_items import ColdItemsSpec
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_users import ColdUsersSpec
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.algorithms.ufgraphformer.sequence.local_training import SequenceTraining
from ufgraphfr.algorithms.ufgraphformer.sequence.server_adam import ServerAdam
from ufgraphfr.core.messages import Aggregation
from ufgraphfr.models.transformer import check_heads


class FormerSpec(Algorithm, ABC):
    """Hyper-parameters of UFGraphFormer; each part has a switch."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM
    renamed: ClassVar[dict[str, str]] = {
        **{key: f"adam.{key}" for key in ("lr", "warmup", "betas", "average")},
        "newcomers": "cold_users",
        "new_items": "cold_items",
    }

    graph: GraphSpec | Literal[False] = GraphSpec()
    """The item graph."""
    transformer: bool = True
    """The sequence Transformer."""
    text: bool = True
    """The embedded profile as token 0."""
    head: bool = True
    """The device's own preference for public item features; it needs the graph's item counts, and
    a data set with item features."""
    features: bool = True
    """Whether an item's vector has a part from its public features, if there are any."""
    spectral: bool = True
    """Whether the first item vectors come from the graph."""
    dim: int = Field(64, ge=2)
    """d, of item vectors and states."""
    hidden: int = Field(128, ge=1)
    """Width of the feed-forward layers."""
    heads: int = Field(2, ge=1)
    """Attention heads; they divide ``dim``."""
    blocks: int = Field(2, ge=1)
    """Transformer blocks."""
    history: int = Field(100, ge=1)
    """L, the recent items the Transformer sees."""
    training: SequenceTraining = SequenceTraining()
    """How devices train the Transformer."""
    adam: ServerAdam = ServerAdam()
    """How the server steps."""
    cold_users: ColdUsersSpec | Literal[False] = ColdUsersSpec()
    """Whether users of whom little is known are served from what others began with; it needs the
    graph's rounds."""
    cold_items: ColdItemsSpec | None = None
    """How items that nobody has are scored from what is public of them; without it they are last,
    or ranked by what little the head and the features' part of the item vectors say."""
    shares: tuple[NonNegativeFloat, ...] = Field((0.0, 0.5, 1.0), min_length=1)
    """Weights of a graph's operator that validation chooses from, beside the Transformer's 1; where
    the Transformer learns much by itself, smaller ones suit."""
    private: PrivateSpec | None = None
    """What this model becomes under a privacy budget, where its defaults do not fit."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_heads(self.heads, self.dim)
        if not self.transformer and self.graph is False:
            raise ValueError("graph = false and transformer = false leave nothing: keep one part")
        if not self.transformer and not any(self.shares):
            raise ValueError(
                f"shares = {list(self.shares)} leave nothing without the Transformer: "
                f"offer a weight above 0"
            )
        if self.cold_items is not None and self.graph is False:
            raise ValueError("cold_items needs the graph's item counts to know which are new")
        return self
