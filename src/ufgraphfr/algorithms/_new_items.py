"""New items of UFGraphFormer: an item that nobody has is scored like known items that are like it.

Ridge regression of a user's scores s of the known items on what is public of them, X = (features,
title, 1): w_u = (X^T X + ridge I)^-1 X^T s_u, and x w_u for a new item x. The device fits it to its
own final scores, so all parts of the model speak, and nothing more is trained or sent up. After
Gantner et al., "Learning attribute-to-feature mappings for cold-start recommendations", ICDM 2010.
"""

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.core.spec import Spec


class NewItems(Spec):
    """Hyper-parameters of the scores of new items."""

    ridge: float = Field(1.0, gt=0)
    """Regulariser."""
    titles: bool = True
    """Whether the embedded titles are used beside the features."""

    def public(self, features: Tensor, item_text: Tensor | None) -> Tensor:
        """What is known of every item, float ``[items, columns]``.

        Args:
            features: float ``[items, feature columns]``.
            item_text: float ``[items, width]``, or None.
        """
        parts = [features, features.new_ones(len(features), 1)]
        if self.titles and item_text is not None:
            # all titles point the same way more or less: what they have in common says nothing
            centred = item_text - item_text.mean(0)
            parts.append(torch.nn.functional.normalize(centred, dim=1))
        return torch.cat(parts, dim=1)

    def filled(self, scores: Tensor, public: Tensor, counts: Tensor) -> Tensor:
        """The scores, with other ones for items that nobody has.

        Args:
            scores: float ``[clients, items]``.
            public: what `public` returned.
            counts: float ``[items]``, how many clients have each item.
        """
        known = counts > 0
        if not known.any():
            return scores
        given = public[known]
        gram = given.T @ given
        gram.diagonal().add_(self.ridge)
        weights = torch.linalg.solve(gram, given.T @ scores[:, known].T)
        return torch.where(known, scores, (public @ weights).T)
