"""What UFGraphFormer is made of: its hyper-parameters, and what follows from them alone."""

from abc import ABC
from itertools import product
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, NonNegativeFloat, model_validator
from torch import Tensor

from ufgraphfr.algorithms._graph_spec import OPERATORS
from ufgraphfr.algorithms._item_graph import ItemGraph
from ufgraphfr.algorithms._local_head import LocalHead
from ufgraphfr.algorithms._new_items import NewItems
from ufgraphfr.algorithms._newcomers import SUM, Newcomers
from ufgraphfr.algorithms._private_form import PrivateForm
from ufgraphfr.algorithms._sequence_training import SequenceTraining
from ufgraphfr.algorithms._server_adam import FLAT, ServerAdam
from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.messages import Aggregation
from ufgraphfr.core.releases import Budget
from ufgraphfr.models.transformer import Transformer, check_heads

HEAD_SHARES = (0.0, 0.125, 0.25)
"""Weights of the head that validation chooses from: beside the other parts it says little more."""


class FormerSpec(Algorithm, ABC):
    """Hyper-parameters of UFGraphFormer; each part has a switch."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM

    graph: ItemGraph | Literal[False] = ItemGraph()
    """Part A, the item graph."""
    transformer: bool = True
    """Part B, the sequence Transformer."""
    text: bool = True
    """Part C, the embedded profile as token 0."""
    text_dim: int = Field(64, ge=1)
    """Wider profile vectors are projected to this width, at random and publicly, so that there
    are fewer weights to send."""
    head: LocalHead | Literal[False] = LocalHead()
    """Part D, the device's own taste in public item features; it needs the graph's item counts,
    and a data set with item features."""
    features: bool = True
    """Whether an item's vector has a part from its public features, if there are any."""
    spectral: bool = True
    """Whether the first item vectors come from the graph."""
    dim: int = Field(64, ge=2)
    """d, of item vectors and states."""
    hidden: int = Field(128, ge=1)
    """Width of the feed-forward layers."""
    heads: int = Field(2, ge=1)
    blocks: int = Field(2, ge=1)
    history: int = Field(100, ge=1)
    """L, the recent items the Transformer sees."""
    training: SequenceTraining = SequenceTraining()
    """How devices train the Transformer."""
    adam: ServerAdam = ServerAdam()
    """How the server steps."""
    renamed: ClassVar[dict[str, str]] = FLAT
    newcomers: Newcomers | Literal[False] = Newcomers()
    """Whether users of whom little is known are served from what others began with; it needs the
    graph's rounds."""
    private: PrivateForm | None = None
    """What this model becomes under a privacy budget, where its defaults do not fit."""
    shares: tuple[NonNegativeFloat, ...] = Field((0.0, 0.5, 1.0), min_length=1)
    """Weights of a graph's operator that validation chooses from, beside the Transformer's 1; where
    the Transformer learns much by itself, smaller ones suit."""
    new_items: NewItems | None = None
    """How items that nobody has are scored from what is public of them; without it they are last,
    or ranked by what little the head and the features' part of the item vectors say."""

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
        if self.new_items is not None and self.graph is False:
            raise ValueError("new_items needs the graph's item counts to know which items are new")
        return self

    def network(self, items: int, text_width: int, columns: int) -> Transformer:
        """The Transformer for a catalogue with some columns of public features."""
        return Transformer(
            items,
            text_width,
            self.dim,
            self.hidden,
            self.heads,
            self.blocks,
            self.history,
            self.text,
            columns if self.features else 0,
        )

    @property
    def for_newcomers(self) -> Newcomers | None:
        """What newcomers are served from, if anybody tells it."""
        return self.newcomers if self.newcomers and self.graph is not False else None

    def for_budget(self, budget: Budget, setting: Setting) -> Algorithm:
        """See `Algorithm.for_budget`: sums that are worth their noise, the rest on the device."""
        return (self.private or PrivateForm()).chosen(budget, setting)

    @property
    def asks_for_item_text(self) -> bool:
        """See `Algorithm.asks_for_item_text`."""
        return self.new_items is not None and self.new_items.titles

    @property
    def integer_bounds(self) -> dict[str, int]:
        """See `Algorithm.integer_bounds`."""
        return {} if self.graph is False else {**self.graph.integer_bounds, SUM: 1}

    def asks_all_clients(self, round_number: int) -> bool:
        """See `Algorithm.asks_all_clients`: all clients contribute to the item graph, once."""
        return self.graph is not False and round_number <= self.graph.rounds

    def blends(self) -> Tensor:
        """See `Algorithm.blends`: every mix of the parts that are on; the last is the even one."""
        shares = list[tuple[float, ...]]()
        if self.graph is not False:
            shares += [self.shares] * len(OPERATORS)
            shares += [HEAD_SHARES] * (self.head is not False)
        # what newcomers are served from has its own share for each of them
        shares += [(1.0,)] * (self.transformer + (self.for_newcomers is not None))
        mixes = torch.tensor(list(product(*shares)))
        return mixes if self.transformer else mixes[mixes[:, : len(OPERATORS)].any(1)]
