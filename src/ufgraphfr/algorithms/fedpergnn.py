"""FedPerGNN: attention over a device's own subgraph, with noised gradients and pseudo items.

Wu, Wu, Cao, Huang, Xie, "FedGNN", arXiv 2102.04925; Wu, Wu, Lyu, Qi, Huang, Xie, "A federated graph
neural network framework for privacy-preserving personalization", Nature Communications 2022. A
device attends from its user to the user's items and to anonymous users who share items with it.
Real gradients are joined by those of pseudo-interacted items, drawn from a Gaussian with the real
ones' mean and covariance; every number is clipped by itself, and Laplace noise is added. Once, a
matching server sees each user's vector and item ids in a cipher that is the same for all users, and
hands back the vectors of users with equal ciphertexts.

The papers predict ratings. Here, as in the rest of the family, the loss is the binary cross-entropy
of interactions and drawn negatives, an interaction is left out of the attention that predicts it
(its label would be an edge), and an item's hidden vector is its own: an item to be ranked has no
edge. The papers match all neighbours; `neighbors` keeps those with the most items in common.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.algorithms.pointwise.training import initial_table
from ufgraphfr.core.arrays.sparse_rows import Rows, owners
from ufgraphfr.core.arrays.tables import DenseTables
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.epochs import epoch_samples
from ufgraphfr.models.graph_attention import attend
from ufgraphfr.ops.pseudo_gradients import clipped_with_laplace, with_pseudo
from ufgraphfr.ops.touched import touched

NETWORK = ("transform", "attention")
"""What of the server's memory is the network of `graph_attention`."""
SHARED = ("items", *NETWORK)
"""What devices train and rank with."""


class FedPerGNN(Algorithm):
    """Hyper-parameters of FedPerGNN."""

    aggregation: ClassVar[Aggregation] = Aggregation.PER_CLIENT

    dim: int = Field(32, ge=1)
    """d, of user and item vectors; the papers have 256."""
    lr: float = Field(0.1, gt=0)
    """Learning rate of the attention."""
    user_lr: float = Field(2.0, gt=0)
    """Learning rate of the user's vector."""
    item_lr: float = Field(1.0, gt=0)
    """Learning rate of an item's vector, for each item of the catalogue: in the mean over a
    cohort, a row is rarely touched."""
    negatives: int = Field(4, ge=1)
    """Fresh negatives for each interaction."""
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of the initial vectors."""
    expansion: int = Field(20, ge=0)
    """The round of the matching server, which asks everybody, as does the next one; 0 is never."""
    neighbors: int = Field(20, ge=1)
    """Anonymous users that a device is given at most."""
    pseudo_items: int = Field(1000, ge=0)
    """M, pseudo-interacted items of an upload."""
    clip: float = Field(0.1, gt=0)
    """The largest size of each uploaded number."""
    laplace: float = Field(0.2, ge=0)
    """Scale of the Laplace noise on each uploaded number."""

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`; the attention begins as a mean over the subgraph."""
        return {
            "items": initial_table(setting, self.dim, self.init_std),
            "transform": torch.eye(self.dim),
            "attention": torch.zeros(2, self.dim),
            "neighbors": torch.zeros(setting.clients, self.neighbors, self.dim + 1),
        }

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """See `Algorithm.init_private`: the user's vector, and no neighbours yet.

        ``neighbors`` is float ``[clients, neighbors, dim + 1]``; its last number is 1 where there
        is a neighbour.
        """
        uniform = Key(setting.seed, purpose=Purpose.INIT).uniform(batch.clients, self.dim)
        user = (torch.special.ndtri(uniform) * self.init_std).float()
        return {"user": user, "neighbors": user.new_zeros(len(batch), self.neighbors, self.dim + 1)}

    def asks_all_clients(self, round_number: int) -> bool:
        """See `capabilities.AsksAllClients`: all are matched, and all hear of their neighbours."""
        return self.expansion > 0 and round_number - self.expansion in (0, 1)

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`; the vectors of neighbours are sent once."""
        if round_number == self.expansion:
            return Task(round_number, clients, {}, {})
        shared = {name: state[name] for name in SHARED}
        if round_number - 1 != self.expansion or not self.expansion:
            return Task(round_number, clients, shared, {})
        matched = DenseTables(state["neighbors"][clients])
        return Task(round_number, clients, shared, {"neighbors": matched})

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`: one step of gradient descent on all samples."""
        if task.round == self.expansion:
            return self._ciphers(batch, private, key), private
        if "neighbors" in task.personal:
            private = private | {"neighbors": task.tables("neighbors").dense()}
        samples = epoch_samples(batch, key, self.negatives, 0)
        drawn = batch.negatives(key.to(Purpose.PSEUDO_ITEMS), self.pseudo_items)
        rows = touched(torch.cat((samples.item, drawn), 1), batch.n_items)
        table = task.shared["items"][rows.index].requires_grad_()
        user = private["user"].clone().requires_grad_()
        network = {
            name: task.shared[name].expand(len(batch), -1, -1).clone().requires_grad_()
            for name in NETWORK
        }
        history, inside = _history(batch)
        subgraph = (user, table[rows.rows(history)], inside, private["neighbors"])
        left_out = torch.where(samples.positive > 0, samples.time, -1)
        states = attend(network, *subgraph, left_out)
        place = rows.rows(samples.item)
        logits = (table[place] @ network["transform"] * states).sum(2)
        terms = F.binary_cross_entropy_with_logits(logits, samples.positive, reduction="none")
        some = samples.item >= 0
        losses = (terms * some).sum(1) / samples.counts.clamp(min=1)
        gradients = torch.autograd.grad(losses.sum(), [table, user, *network.values()])
        real = torch.zeros(len(table), dtype=torch.bool, device=table.device)
        real[place[some]] = True
        changed = Rows(rows.ptr, rows.index, gradients[0], batch.n_items)
        changed = changed.with_values(with_pseudo(changed, real, key, batch.clients))
        moved = private["user"] - self.user_lr * gradients[1]
        arrays: dict[str, Tensor | Rows] = {"items": changed}
        arrays |= zip(network, gradients[2:], strict=True)
        update = Update(self._perturbed(arrays, batch.clients, key), losses.detach())
        return update, private | {"user": moved}

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`: a step along the mean gradient, or the matching server."""
        if report.round == self.expansion:
            return state | {"neighbors": self._matched(state["neighbors"], report)}
        rates = dict.fromkeys(NETWORK, self.lr)
        rates["items"] = self.item_lr * len(state["items"])
        clients = max(1, len(report.clients))
        sums = report.sums
        return state | {
            name: state[name] - rate / clients * sums[name] for name, rate in rates.items()
        }

    def scoring_task(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `capabilities.ScoringTask`; who has neighbours was sent them before."""
        return Task(round_number, clients, {name: state[name] for name in SHARED}, {})

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`."""
        items, transform = task.shared["items"], task.shared["transform"]
        network = {name: task.shared[name].expand(len(inputs), -1, -1) for name in NETWORK}
        history, inside = _history(inputs)
        subgraph = (private["user"], items[history.clamp(min=0)], inside, private["neighbors"])
        states = attend(network, *subgraph, history.new_full((len(inputs), 1), -1))
        return states[:, 0] @ (items @ transform).T

    def _ciphers(self, batch: ClientBatch, private: Private, key: Key) -> Update:
        """What the matching server sees: the user's vector, and the ciphers of the user's items.

        The cipher is a permutation that devices share and the server does not know.
        """
        generator = Key(key.seed, purpose=Purpose.CIPHER).generator()
        cipher = torch.randperm(batch.n_items, generator=generator).to(batch.items.device)
        ciphers = torch.zeros(len(batch), batch.n_items, device=batch.items.device)
        ciphers[owners(batch.ptr, len(batch.items)), cipher[batch.items]] = 1.0
        return Update({"user": private["user"], "ciphers": ciphers}, ciphers.new_zeros(len(batch)))

    def _matched(self, neighbors: Tensor, report: Report) -> Tensor:
        """Whose ciphers are most alike, as `init_private` has it, for all clients."""
        ciphers = report.arrays["ciphers"].dense()
        users = report.arrays["user"].dense()
        common = (ciphers @ ciphers.T).fill_diagonal_(0)
        most = common.topk(min(self.neighbors, len(common)), dim=1)
        there = (most.values > 0).float()[..., None]
        matched = torch.zeros_like(neighbors)
        found = torch.cat((users[most.indices] * there, there), 2)
        matched[report.clients, : found.shape[1]] = found
        return matched

    def _perturbed(
        self, arrays: dict[str, Tensor | Rows], clients: Tensor, key: Key
    ) -> dict[str, Tensor | Rows]:
        """What leaves the device: every number clipped, with noise."""
        bounds = (self.clip, self.laplace)
        return {
            name: clipped_with_laplace(value, *bounds, key.to(Purpose.LAPLACE, part), clients)
            for part, (name, value) in enumerate(arrays.items())
        }


def _history(batch: ClientBatch) -> tuple[Tensor, Tensor]:
    """All items of each client, int64 ``[clients, n]``, and which of these are no padding."""
    history, length = batch.first(max(1, int(batch.counts.max())))
    return history, torch.arange(history.shape[1], device=history.device) < length[:, None]
