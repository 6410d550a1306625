"""What users know for a learned fusion: the scores of their validation item and of its rivals.

Who has several gives each, and the others are no rivals of it.
The coefficients are fitted on validation items, and validation chooses between them and fixed
blends: those that a model names, and its strongest parts alone. So that it does not judge
coefficients by the users they were fitted to, users are halved by the parity of their number: each
half is validated with the coefficients of the other, and the model keeps those of everybody.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import State
from ufgraphfr.core.workers import workers
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.metric_sums import Model, half
from ufgraphfr.evaluation.metrics.base import Metric
from ufgraphfr.evaluation.narrowing import best_blend, shuffled
from ufgraphfr.evaluation.protocol import EvaluationSet, at_most, of_like_length
from ufgraphfr.evaluation.results import RankingResult
from ufgraphfr.ops.bends import bends
from ufgraphfr.ops.blend import coefficients
from ufgraphfr.ops.fusion import (
    DRAFT,
    FusionSums,
    equal_weights,
    fit_fusion,
    fusion_sums,
    spread_shares,
    strongest,
)
from ufgraphfr.ops.ranking import leave_candidates

SHARES = "blend.shares"
"""In a memory beside ``blend``: each part's share of the spread, float ``[parts]``."""
MOST_ITEMS = 10_000
"""Of more held-out items nothing is asked: a few dozen coefficients are known well enough."""


@dataclass(frozen=True)
class Candidates:
    """The blends that validation chooses from.

    Attributes:
        halves: float ``[2, choices, blend]``, what users of either half are validated with.
        everybody: float ``[choices, blend]``, what the model keeps of a choice.
        shares: float ``[choices, parts]``, of the spread of what it keeps, see `spread_shares`.
        learned: bool ``[choices]``, which of them were fitted. Where users are few the best of many
            blends is best by chance, so another is chosen only if it gains more than that.
    """

    halves: Tensor
    everybody: Tensor
    shares: Tensor
    learned: Tensor

    @classmethod
    def fitted(
        cls, ask: Callable[[Tensor], FusionSums], fixed: Tensor, priors: Tensor, parts: int
    ) -> "Candidates":
        """The fitted blend, fixed ones and the strongest parts alone, each with every prior.

        Args:
            ask: from weights of the three fits, ``[3, fitted]``, to the sums there.
            fixed: see `capabilities.Blended.fixed_blends`.
            priors: see `capabilities.Blended.priors`.
            parts: how many there are.
        """
        fixed = coefficients(fixed, priors)
        width = fixed.shape[1]
        start = equal_weights(parts, width).expand(3, -1)
        one, other, everybody = fit_fusion(ask, start).float()
        at_zero = ask(torch.zeros_like(start))
        alone = torch.eye(width)[strongest(at_zero, parts)]
        fixed = torch.cat((fixed, alone[~_among(alone, fixed)]))
        # who was asked for a fit is validated with the other half's
        halves = torch.stack([torch.cat((own[None], fixed)) for own in (other, one)])
        halves, kept = (
            torch.cat([_with(mixes, prior) for prior in priors], dim=-2)
            for mixes in (halves, torch.cat((everybody[None], fixed)))
        )
        learned = (torch.arange(len(fixed) + 1) == 0).repeat(len(priors))
        shares = spread_shares(at_zero, coefficients(kept, priors), parts)
        return cls(halves, kept, shares, learned)

    def kept(self, choice: int) -> State:
        """What a model's memory keeps of a choice."""
        return {"blend": self.everybody[choice], SHARES: self.shares[choice]}


@dataclass(frozen=True)
class ChosenBlend:
    """What validation chose.

    Attributes:
        halves: float ``[2, blend]``, what users of either half were validated with.
        kept: what the model's memory keeps.
        result: of the validation.
    """

    halves: Tensor
    kept: State
    result: RankingResult


def choose_blend(
    model: Model,
    asked: EvaluationSet,
    fixed: Tensor,
    priors: Tensor,
    key: Key,
    chunk: int = 256,
    metrics: tuple[Metric, ...] | None = None,
) -> ChosenBlend:
    """Fit the fusion, and choose between it and fixed blends.

    Args:
        model: its parts, and what blends of them are.
        asked: the validation.
        fixed: see `capabilities.Blended.fixed_blends`.
        priors: see `capabilities.Blended.priors`.
        key: seed of the choice of users.
        chunk: clients at a time, at most.
        metrics: what the result holds, see `metric_sums.evaluate`.
    """
    known = FusionData.of(model, asked, key, chunk)
    candidates = Candidates.fitted(known.sums, fixed, priors, known.features.shape[2])
    best, result = best_blend(
        model, candidates.halves, asked, key, chunk, metrics, candidates.learned
    )
    return ChosenBlend(candidates.halves[:, best], candidates.kept(best), result)


def _without(draft: Tensor, others: Tensor) -> Tensor:
    """A draft whose lists leave other targets ``[clients, others]`` out."""
    if not others.shape[1]:
        return draft
    row, column = (others >= 0).nonzero(as_tuple=True)
    return draft.index_put((row, others[row, column]), draft.new_tensor(-torch.inf))


def _among(rows: Tensor, others: Tensor) -> Tensor:
    """Which rows are the same blend as one of others, bool ``[rows]``."""
    return ((rows != 0)[:, None] == (others != 0)).all(2).any(1)


def _with(mixes: Tensor, prior: Tensor) -> Tensor:
    return torch.cat((mixes, prior.expand(*mixes.shape[:-1], -1)), dim=-1)


@dataclass(frozen=True)
class FusionData:
    """Features of the users whose item is on their draft list, in any order; see `fusion_sums`."""

    features: Tensor
    rival: Tensor
    counts: Tensor
    away: Tensor
    half: Tensor

    @classmethod
    def of(cls, model: Model, asked: EvaluationSet, key: Key, chunk: int = 256) -> "FusionData":
        """Score the users, and keep what the fit needs.

        Args:
            model: its parts.
            asked: who is asked for what.
            key: seed of the choice of users.
            chunk: clients at a time, at most: fewer where items are many.
        """
        users, places = asked.clients, torch.arange(len(asked.clients))
        each_has = asked.targets.shape[1]
        if len(users) > (most := MOST_ITEMS // each_has):
            places = shuffled(users.clients, key)[:most].sort().values
        found, group = list[FusionData](), workers()
        places = of_like_length(users, places[group.own(users.clients[places])])
        for own in places.split(at_most(chunk, users.n_items)) if len(places) else ():
            clients = users.select(own)
            scored = model.parts(clients).detach()
            targets = asked.targets[own].to(scored.device)
            clients = clients.to(scored.device)
            found += cls._drafted(scored, clients, targets)
        everybody = (part for own in group.gathered(found) for part in own)
        each = zip(*(vars(part).values() for part in everybody), strict=True)
        return cls(*(torch.cat(values) for values in each))

    @classmethod
    def _drafted(
        cls, scored: Tensor, clients: ClientBatch, targets: Tensor
    ) -> Iterator["FusionData"]:
        """Of some clients' targets, one after the other, from their scores.

        Args:
            scored: float ``[parts, clients, items]``.
            clients: these.
            targets: int64 ``[clients, targets]``; -1 where a client has fewer.
        """
        draft = scored.sum(0)
        if not bool(draft.isfinite().all()):
            # a part that is no number says nothing, whatever the others do
            draft = scored.nan_to_num_().sum(0)
        leave_candidates(draft, targets, clients.ptr, clients.items)
        draft.nan_to_num_(nan=-torch.inf, neginf=-torch.inf)
        for one in range(targets.shape[1]):
            own = targets.roll(-one, 1)
            yield cls._listed(scored, clients, own[:, 0], _without(draft, own[:, 1:]))

    @classmethod
    def _listed(
        cls, scored: Tensor, clients: ClientBatch, target: Tensor, draft: Tensor
    ) -> "FusionData":
        """Of a target of each client, and of the best of its draft ``[clients, items]``."""
        best, listed = draft.topk(min(DRAFT, draft.shape[1]))
        inside = (listed == target[:, None]).any(1)
        chosen = torch.cat((target[:, None], listed), 1)[inside]
        rival = (chosen != chosen[:, :1]) & (torch.cat((best[:, :1], best), 1)[inside] > -torch.inf)
        rival[:, 0] = True
        features = scored[:, inside].gather(2, chosen.expand(len(scored), -1, -1))
        away = torch.zeros_like(clients.counts) if clients.away is None else clients.away
        return cls(
            features.permute(1, 2, 0).cpu(),
            rival.cpu(),
            clients.counts[inside].cpu(),
            away[inside].cpu(),
            half(clients.clients[inside].cpu()),
        )

    def sums(self, weights: Tensor) -> FusionSums:
        """The sums over these users at the weights of the three fits, ``[3, fitted]``."""
        member = torch.stack((self.half == 0, self.half == 1, torch.ones_like(self.half) > 0))
        sets = weights.shape[1] // self.features.shape[2]
        own = bends(sets, self.counts, self.away)
        return fusion_sums(self.features, self.rival, own, member, weights)
