"""The client of neural collaborative filtering: a user vector and a score MLP, on the device.

He et al., "Neural collaborative filtering", WWW 2017: the score of item i for user u is
``sigma(MLP([p_u ; q_i]))``.
"""

from abc import ABC

from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.pointwise.training import Pointwise
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.models import scorer
from ufgraphfr.ops.local_sgd import Forward, Params
from ufgraphfr.ops.touched import Touched


class NeuralClient(Pointwise, ABC):
    """Hyper-parameters and scores of a user vector with a score MLP."""

    user_scale: float = Field(50.0, gt=0)
    """The user vector learns at ``lr * user_scale``, the score MLP at ``lr``."""

    def init_scorer(self, setting: Setting) -> Params:
        """The initial score MLP, the same wherever it is drawn."""
        generator = Key(setting.seed, purpose=Purpose.INIT_SCORER).generator()
        return scorer.init_scorer(scorer.tower(self.dim), generator)

    def forward(self, rows: Touched, epoch: int) -> Forward:
        """See `Pointwise.train`."""
        return lambda params, vectors, *_: self.rank(params, vectors)

    def descend(self, params: Params, gradients: Params) -> None:
        """One SGD step of user vector and score MLP."""
        for name, value in params.items():
            scale = self.user_scale if name == "user" else 1.0
            value.sub_(gradients[name], alpha=self.lr * scale)

    def rank(self, params: Params, vectors: Tensor) -> Tensor:
        """Logits of items, float ``[clients, n]``.

        Args:
            params: stacked user vectors and score MLPs.
            vectors: float ``[clients, n, dim]``.
        """
        projected = scorer.project_states(params, params["user"][:, None])
        return scorer.logits(params, projected, vectors, slope=0.0)
