"""The network a UFGraphFR client keeps: text tower, causal Transformer, score MLP.

arXiv 2501.08044, with our readings of what the paper leaves open (docs/fidelity.md): the user's
text makes token 0 of the sequence, the items the user touched follow, and the state before an
item scores that item.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ufgraphfr.models import scorer, sequence
from ufgraphfr.models.stacked import Params, init_linear, linear

Scoring = Literal["both", "mlp", "product"]
"""What scores an item vector in a state: the MLP on both, their inner product, or the sum of the
two (He et al., "Neural collaborative filtering", WWW 2017, section 3.4, without its weights)."""


@dataclass(frozen=True)
class PersonalNetwork:
    """Shapes and switches of the network; weights are arguments.

    Attributes:
        dim: d, of item vectors and states.
        hidden: width of the user MLP and of the feed-forward layer.
        heads: attention heads.
        history: L, items the Transformer sees; 0 leaves only the user's own token.
        scorer: widths of the score MLP.
        slope: of the score MLP's leaky ReLU, see `scorer.logits`.
        scoring: see `Scoring`.
    """

    dim: int
    hidden: int
    heads: int
    history: int
    scorer: tuple[int, ...]
    slope: float
    scoring: Scoring

    def init(self, generator: torch.Generator) -> Params:
        """One client's initial weights, without the joint embedding layer."""
        params = (
            init_linear("user.0", self.dim, self.hidden, generator)
            | init_linear("user.1", self.hidden, self.dim, generator)
            | {"position": torch.randn(self.history + 1, self.dim, generator=generator) * 0.02}
            | sequence.init_block(self.dim, self.hidden, generator)
        )
        if self.scoring == "product":
            return params
        return params | scorer.init_scorer(self.scorer, generator)

    def states(
        self, params: Params, user: Tensor, history: Tensor, dropout: Tensor | None = None
    ) -> Tensor:
        """The state after the user token and after each item.

        Args:
            params: stacked weights.
            user: float ``[clients, dim]``, the joint embedding layer's output.
            history: float ``[clients, length, dim]``, item vectors, oldest first, padded right;
                length at most ``history``.
            dropout: masks as of `dropout.dropout_masks`, or None.

        Returns:
            float ``[clients, length + 1, dim]``.
        """
        token = linear(user[:, None], params["user.0.weight"], params["user.0.bias"]).relu()
        token = linear(token, params["user.1.weight"], params["user.1.bias"])
        tokens = torch.cat((token, history), dim=1)
        tokens = tokens + params["position"][:, : tokens.shape[1]]
        return sequence.block(params, tokens, self.heads, dropout)

    def logits(self, params: Params, states: Tensor, position: Tensor, items: Tensor) -> Tensor:
        """Scores of samples, each in one of the client's states.

        Args:
            params: stacked weights.
            states: float ``[clients, length, dim]``.
            position: int64 ``[clients, samples]``, which state.
            items: float ``[clients, samples, dim]``.

        Returns:
            float ``[clients, samples]``, before the sigmoid.
        """
        parts = []
        if self.scoring != "product":
            projected = scorer.project_states(params, states)
            parts.append(scorer.logits(params, _at(projected, position), items, self.slope))
        if self.scoring != "mlp":
            parts.append((_at(states, position) * items).sum(-1))
        return sum(parts[1:], parts[0])

    def rank(self, params: Params, state: Tensor, tables: Tensor) -> Tensor:
        """Scores of all items in one state for each client.

        Args:
            params: stacked weights.
            state: float ``[clients, dim]``.
            tables: float ``[clients, items, dim]``.

        Returns:
            float ``[clients, items]``.
        """
        parts = []
        if self.scoring != "product":
            projected = scorer.project_states(params, state[:, None])
            parts.append(scorer.logits(params, projected, tables, self.slope))
        if self.scoring != "mlp":
            parts.append((tables @ state[..., None]).squeeze(-1))
        return sum(parts[1:], parts[0])


def _at(states: Tensor, position: Tensor) -> Tensor:
    """The states at ``position``, float ``[clients, samples, width]``."""
    clients, length, width = states.shape
    first = length * torch.arange(clients, device=position.device)
    flat = (position + first[:, None]).flatten()
    return states.reshape(-1, width).index_select(0, flat).view(clients, -1, width)
