"""Cold items: an item that nobody has is scored like known items that are like it.

Ridge regression of a user's scores s of the known items on what is public of them, X = (features,
title, 1): w_u = (X^T X + ridge I)^-1 X^T s_u, and x w_u for a new item x. The device fits it to its
own final scores, so all parts of the model speak, and nothing more is trained or sent up. After
Gantner et al., "Learning attribute-to-feature mappings for cold-start recommendations", ICDM 2010.
"""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.core.arrays.memo import memo
from ufgraphfr.core.messages import State
from ufgraphfr.core.spec import Spec

PUBLIC = "public"


class ColdItemsSpec(Spec):
    """Hyper-parameters; the ``[algorithm.cold_items]`` table."""

    ridge: float = Field(1.0, gt=0)
    """Regulariser."""
    titles: bool = True
    """Whether the embedded titles are used beside the features."""


@dataclass(frozen=True)
class ColdItems(Part):
    """It has no scores of its own, but the last word on items that nobody has."""

    spec: ColdItemsSpec

    def state(self, setting: Setting) -> State:
        """See `Part.state`: what is known of every item, float ``[items, columns]``."""
        columns = [torch.ones(setting.items, 1)]
        if setting.features is not None:
            columns.insert(0, setting.features)
        if self.spec.titles and setting.item_text is not None:
            # all titles point the same way more or less: what they have in common says nothing
            centred = setting.item_text - setting.item_text.mean(0)
            columns.append(torch.nn.functional.normalize(centred, dim=1))
        return {PUBLIC: torch.cat(columns, dim=1)}

    def shared(self, state: State) -> State:
        """See `Part.shared`."""
        return {PUBLIC: state[PUBLIC]}

    def finished(self, scores: Tensor, shared: State) -> Tensor:
        """See `Part.finished`: other scores for items that nobody has."""
        known, new, public, asked = _divided(shared[PUBLIC], shared[COUNTS])
        if not len(known) or not len(new):
            return scores
        return scores.index_copy(-1, new, self.likened(scores[..., known], public, asked))

    def likened(self, scores: Tensor, public: Tensor, asked: Tensor) -> Tensor:
        """Scores of items by what is public of them, float ``[..., asked]``.

        Args:
            scores: of known items, float ``[..., known]``.
            public: of the known, float ``[known, columns]``.
            asked: of the others, float ``[asked, columns]``.
        """
        factor = _factor(public, self.spec.ridge)
        weights = torch.cholesky_solve(public.T @ scores.flatten(0, -2).T, factor)
        found: Tensor = asked @ weights
        return found.T.reshape(*scores.shape[:-1], len(asked))


@memo
def _divided(public: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Places of items that somebody has, and of others, and what is public of either."""
    known, new = (each.nonzero()[:, 0] for each in (counts > 0, counts <= 0))
    return known, new, public[known], public[new]


@memo
def _factor(public: Tensor, ridge: float) -> Tensor:
    """Cholesky's, of X^T X + ridge I, float ``[columns, columns]``."""
    gram = public.T @ public
    gram.diagonal().add_(ridge)
    factor: Tensor = torch.linalg.cholesky(gram)
    return factor
