"""UFGraphFR (arXiv 2501.08044): a user graph from joint-layer changes, messages of item changes.

The server relates users by the cosine of what training changed in their joint embedding layers,
S_uv = cos(W_u - W_0, W_v - W_0), keeps each user's nearest, A, and sends client u the item table
``G + message * sum_v A_uv Delta_v``: the running global table plus its neighbors' changes of last
round.
docs/fidelity.md sets the paper, its published code and our readings side by side.
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.pointwise.changes import mean_change, touched_mean
from ufgraphfr.algorithms.ufgraphfr.as_coded import PRESETS, PersonalTables, written_out
from ufgraphfr.algorithms.ufgraphfr.client import TextClient
from ufgraphfr.algorithms.ufgraphfr.neighbor_tables import NeighborTables
from ufgraphfr.algorithms.ufgraphfr.user_graph import GraphRule, user_graph
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch


class UFGraphFR(TextClient):
    """Hyper-parameters of UFGraphFR."""

    aggregation: ClassVar[Aggregation] = Aggregation.PER_CLIENT
    counted: ClassVar[dict[str, str]] = {"neighbors": "clients"}

    relation: Literal["similarity", "distance"] = "similarity"
    """The published code takes cosine distance for similarity."""
    neighbors: int = Field(20, ge=1)
    """Nearest users kept for each user, itself included; unused with a threshold."""
    threshold: float | Literal["none", "mean"] = "none"
    """Keep all users whose relation lies above this, or above the mean relation."""
    include_self: bool = True
    """Whether a client is its own neighbor."""
    hops: int = Field(1, ge=1)
    """Messages travel this far: A^hops."""
    graph_every: int = Field(1, ge=1)
    """Rounds between two graphs; above 1 is the Lite variant."""
    evaluated_table: Literal["received", "local"] = "received"
    """Rank with the table the server would send, or with the locally trained one."""
    personal_tables: bool = False
    """The server keeps a dense table for each user and averages those: users x items x d."""
    joint_upload: Literal["factors", "dense"] = "factors"
    """The joint layer's change as its two factors, or written out."""
    average: Literal["touched", "cohort"] = "touched"
    """An item moves by the mean change over the clients that touched it, or over the cohort, in
    which few touch a rare item."""
    message: float = Field(0.3, ge=0)
    """Weight of the neighbors' changes in what a client receives; 0 leaves the user graph out.
    Unused with personal tables."""
    as_coded: bool = False
    """The published code's behaviour for all keys that are not given, see `as_coded.PRESETS`."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**PRESETS, **values} if values.get("as_coded") else values

    @property
    def _factors(self) -> tuple[str, ...]:
        return ("joint",) if self.joint_upload == "dense" else ("joint.step", "joint.text")

    @property
    def _tables(self) -> NeighborTables | PersonalTables:
        if self.personal_tables:
            return PersonalTables()
        return NeighborTables(self.message, self.evaluated_table == "local")

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        users, width = setting.clients, setting.text_width
        widths = {"joint": self.dim * width, "joint.step": self.dim, "joint.text": width}
        table = self.init_table(setting)
        state = {
            "items": table,
            "known": torch.zeros(users, dtype=torch.bool),
            "graph.index": torch.zeros(users, 0, dtype=torch.int64),
            "graph.weight": torch.zeros(users, 0),
            "reporters": torch.zeros(0, dtype=torch.int64),
        }
        state |= {name: torch.zeros(users, widths[name]) for name in self._factors}
        return state | self._tables.empty(table, users)

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """See `Algorithm.init_private`."""
        return self.init_client(setting, batch)

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`."""
        tables = self._tables.received(state, clients)
        return Task(round_number, clients, {}, {"items": tables})

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        after, change, loss = self.train_client(private, task.tables("items"), batch, key)
        step, text = after["joint.step"], self.profile(batch)
        if self.joint_upload == "dense":
            return Update({"items": change, "joint": written_out(step, text)}, loss), after
        factors = {"joint.step": step, "joint.text": text}
        return Update({"items": change, **factors}, loss), after

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`; G moves by the mean change, see `average`."""
        change, clients = report.rows("items"), report.clients
        new = state | self._tables.collected(state, clients, change)
        new["items"] = state["items"] + (
            touched_mean(change) if self.average == "touched" else mean_change(report)
        )
        new["known"] = state["known"].index_fill(0, clients, True)
        for name in self._factors:
            new[name] = state[name].index_copy(0, clients, report.arrays[name].dense())
        new["reporters"] = clients
        if (report.round - 1) % self.graph_every == 0:
            new |= self._graph(new)
        return new

    def _graph(self, state: State) -> State:
        rule = GraphRule(
            self.relation, self.neighbors, self.threshold, self.include_self, self.hops
        )
        factors = tuple(state[name] for name in self._factors)
        graph = user_graph(rule, factors, state["known"], state["reporters"])
        return {"graph.index": graph.index, "graph.weight": graph.weight}

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `capabilities.ScoringTask`.

        A client that sat out the last round has no fresh local table; what it would have
        started from stands for it.
        """
        if self.evaluated_table == "received" or len(state["reporters"]) == 0:
            return self.broadcast(state, clients, round_number)
        tables = self._tables.trained(state, clients)
        return Task(round_number, clients, {}, {"items": tables})

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        return self.rank(private, task.tables("items").dense(), inputs)
