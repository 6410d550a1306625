"""A softmax regression for each user on item features, all users at once.

A user's weights maximise ``wanted . w - total log sum_i exp(o_i + f_i . w) - ridge / 2 |w|^2``, a
concave function, where ``wanted`` and ``total`` are the sums by which a history enters its log
likelihood: of the features of its items, weighted, and of the weights.

All share the curvature under the offset alone, so a step is two products with the columns
themselves. Each user's own curvature (Newton's method) takes fewer steps, of a product of the
features with themselves: a multiple of the time at two dozen columns, twenty times at 257.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.on_device.distinct_rows import DistinctRows

FIRST_STEP = 0.7
"""In units of a Newton step."""
STEPS = 16
"""To a thousandth of what there is to gain, at 25 and at 257 columns."""
ROUNDING = 1e-6
"""Of the log likelihood, relative to its larger term: a value that is lower by less is no worse."""
FOLDS = 16
"""Rows that are compared as one, see `_peaks`."""
LIKELIEST = 2048
"""Items from which the curvature is told."""


@dataclass(frozen=True)
class SoftmaxRegression:
    """What all users share: the items' features and offsets, and the curvature under these.

    Attributes:
        features: the items' features, each distinct row once.
        offset: float ``[rows]``, the logarithm of what a row's items have together at weights of 0.
        variance: float ``[columns]``, ascending, of the features in directions in which they are
            uncorrelated under the offset's softmax: there the shared curvature is diagonal.
        turn: float ``[columns, columns]``, these directions.
    """

    features: DistinctRows
    offset: Tensor
    variance: Tensor
    turn: Tensor

    @classmethod
    def of(cls, features: Tensor, offset: Tensor) -> "SoftmaxRegression":
        """For a catalogue.

        Args:
            features: float ``[items, columns]``.
            offset: float ``[items]``, scores that all users share (log popularity).
        """
        rows = DistinctRows.of(features)
        return cls(rows, rows.log_sums(offset), *uncorrelated(features, offset))

    def fit(self, wanted: Tensor, total: Tensor, ridge: float, steps: int = STEPS) -> Tensor:
        """Every user's weights by gradient steps; one that overshoots is halved, and so the next.

        Args:
            wanted: float ``[users, columns]``, the weighted sum of the features of a user's items.
            total: float ``[users]``, the sum of those weights.
            ridge: pulls a user's weights to zero.
            steps: how many; more never make the weights worse.

        Returns:
            float ``[users, columns]``; zeros for a user without history.
        """
        weight = total[:, None]
        rounding, curvature = ROUNDING * weight, weight * self.variance + ridge
        tried = best = move = torch.zeros_like(wanted)
        step = torch.full_like(weight, FIRST_STEP)
        reached = torch.full_like(weight, -torch.inf)
        # for few users a step costs what its operations cost to call, and nobody differentiates it
        with torch.inference_mode():
            for _ in range(steps):
                norm, mean = self._softmax(tried)
                pulled = torch.sub(wanted, tried, alpha=ridge / 2)
                value = (pulled * tried).sum(1, keepdim=True).addcmul_(weight, norm, value=-1)
                # rounding must not decide: near the best it would halve steps that are right
                worse = value < torch.addcmul(reached, rounding, norm.abs(), value=-1)
                step = torch.where(worse, step / 2, step)
                gradient = pulled.sub_(tried, alpha=ridge / 2).addcmul_(weight, mean, value=-1)
                newton = (gradient @ self.turn).div_(curvature) @ self.turn.T
                move = torch.where(worse, move, newton)
                best, reached = torch.where(worse, best, tried), torch.maximum(value, reached)
                tried = torch.addcmul(best, step, move)
        # what is made there could not be differentiated further on
        return best.clone()

    def preference(self, weights: Tensor) -> Tensor:
        """What users like of the features, float ``[users, items]``.

        Args:
            weights: float ``[users, columns]``, see `fit`.
        """
        if isinstance(self.features.turned, Tensor):
            return (weights @ self.features.turned)[:, self.features.row]
        return self.features.products(weights.T.contiguous())[self.features.row].T

    def _softmax(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithm of its denominator ``[users, 1]``, and mean features under it."""
        rows, turned = self.features.rows, self.features.turned
        if isinstance(rows, Tensor) and isinstance(turned, Tensor):
            logits = torch.addmm(self.offset, weights, turned)
            chance = logits.log_softmax(1)
            return logits[:, :1] - chance[:, :1], chance.exp_() @ rows
        # a product with sparse rows wants users beside each other; so stays all of this
        logits = self.features.products(weights.T.contiguous()).add_(self.offset[:, None])
        peak = _peaks(logits)
        mass = logits.sub_(peak).exp_()
        total = mass.sum(0)
        mean = self.features.summed(mass) / total
        return (peak + total.log())[:, None], mean.T


def _peaks(logits: Tensor) -> Tensor:
    """Each user's largest, of ``[rows, users]``: torch is slow at it where users are few."""
    whole = len(logits) // FOLDS
    folded = logits[: whole * FOLDS].unflatten(0, (whole, FOLDS)).flatten(1)
    # a fold may be empty, and then the rest holds all
    parts = [folded.amax(0).view(FOLDS, -1)] if whole else []
    return torch.cat((*parts, logits[whole * FOLDS :])).amax(0)


def uncorrelated(features: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Variances, ascending, and directions of the features under the offset's softmax.

    Of a large catalogue its likeliest items stand for all: steps of nearly the right length do.
    """
    likeliest = offset.topk(min(LIKELIEST, len(offset))).indices
    chance = torch.softmax(offset[likeliest].double(), 0)[:, None]
    wide = features[likeliest].double()
    mean = (chance * wide).sum(0)
    spread = (wide * chance).T @ wide - torch.outer(mean, mean)
    variance, directions = torch.linalg.eigh(spread)
    return variance.clamp(min=0).to(features.dtype), directions.to(features.dtype)
