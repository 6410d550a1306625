"""Interaction membership: which of the touched items a client has, learnt from shadow clients.

After Yuan et al., "Interaction-level membership inference attack against federated recommender
systems", WWW 2023: the server lets clients that it made up run the same client function on its own
broadcast, learns from their uploads how rows of own items differ from rows of negatives, and
classifies a victim's rows.
"""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.audit.attacks._rows import moved, side
from ufgraphfr.audit.attacks.base import Attack, Finding, over_clients, precision_recall
from ufgraphfr.audit.bounds import auc
from ufgraphfr.audit.recording import Recording, Upload, dissect
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.client import Client, Request


class IMIA(Attack):
    """A logistic regression on each row's length and direction."""

    question: ClassVar[str] = "which of the touched items a client has, by shadow clients"

    shadows: int = Field(30, ge=1)
    """Made-up clients to learn from."""

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        shadows = [self._shadow(recording, index) for index in range(self.shadows)]
        names = shadows[0][0].tables.keys()
        uploads = {u.client: u for u in recording.uploads if names and u.tables.keys() == names}
        if not uploads:
            return []
        examples = [features(upload) for upload, _ in shadows]
        labels = torch.cat(
            [items[rows] for (_, items), (_, rows) in zip(shadows, examples, strict=True)]
        )
        weights = fit_logistic(torch.cat([x for x, _ in examples]), labels.double())
        areas: list[float] = []
        scores: list[float] = []
        blind: list[float] = []
        for client, upload in uploads.items():
            x, rows = features(upload)
            truth = recording.history(client)[rows]
            logits = x @ weights[:-1] + weights[-1]
            areas.append(auc(logits, truth))
            scores.append(f1(logits > 0, truth))
            blind.append(f1(torch.ones_like(truth), truth))
        area, value, chance = map(over_clients, (areas, scores, blind))
        note = f"{self.shadows} shadow clients, {len(uploads)} victims"
        what, named = "own items among moved rows", f"{note}; chance: every row is called own"
        found = [Finding("upload", f"{what}: F1", value.value, value.low, chance.value, note=named)]
        # where nobody's rows are both own and others', there is nothing to tell apart
        if not math.isnan(area.value):
            found.insert(0, Finding("upload", f"{what}: AUC", area.value, area.low, 0.5, note=note))
        return found

    def _shadow(self, recording: Recording, index: int) -> tuple[Upload, Tensor]:
        """A made-up client's upload, and its items, bool ``[items]``."""
        algorithm, prepared = recording.algorithm, recording.prepared
        batch, setting = prepared.batch, prepared.setting
        # as many items as a random client has, drawn by popularity; the mean text vector
        generator = Key(setting.seed).to(Purpose.SHADOWS, index).generator()
        position = int(torch.randint(len(batch), (1,), generator=generator))
        counts = torch.bincount(batch.items, minlength=setting.items).double() + 1e-9
        length = max(2, int(batch.counts[position]))
        items = torch.multinomial(counts, length, generator=generator)
        client = recording.victims[:1]
        shadow = ClientBatch(
            clients=client,
            ptr=torch.tensor([0, length]),
            items=items,
            excluded_ptr=torch.tensor([0, length]),
            excluded=items.sort().values,
            text=batch.own_text.mean(0, keepdim=True),
            n_items=setting.items,
        )
        task = algorithm.broadcast(recording.state, client, recording.round + 1)
        private = algorithm.init_private(setting, shadow)
        key = Key(setting.seed + 1 + index, recording.round + 1)
        runs = Client(algorithm, recording.mechanism)
        report, _ = runs.respond(Request(task, shadow, private, key))
        tables, texts = dissect(report, algorithm, prepared)
        has = torch.zeros(setting.items, dtype=torch.bool).index_fill(0, items, True)
        return Upload(task.round, -1, tables, texts), has


def features(upload: Upload) -> tuple[Tensor, Tensor]:
    """What a row shows, float64 ``[rows, features]``, and which rows moved, bool ``[items]``.

    For each table the length and the side of a row, standardised within the upload, so that
    clients compare; the side also by its tanh, a soft threshold, and by its sign.
    """
    moved_rows = torch.stack([moved(table)[1] for table in upload.tables.values()]).any(0)
    columns = []
    for table in upload.tables.values():
        norms, along = moved(table)[0][moved_rows], side(table)[moved_rows]
        scale = norms.mean().clamp(min=1e-300)
        columns += [norms / scale, along / scale, (along / scale).tanh(), (along > 0).double()]
    return torch.stack(columns, dim=1).clamp(-20, 20), moved_rows


def f1(guessed: Tensor, truth: Tensor) -> float:
    """2 P R / (P + R); 0 if nothing was guessed right."""
    precision, recall = precision_recall(guessed, truth)
    both = precision + recall
    return 2 * precision * recall / both if both > 0 else 0.0


def fit_logistic(x: Tensor, labels: Tensor, ridge: float = 1e-3, steps: int = 30) -> Tensor:
    """Newton's method for the mean log loss plus ``ridge / 2 |w|^2``; the intercept is free.

    Not the flagship's softmax regression: there users with weights of their own share candidates,
    here each row has its own features and one vector of weights fits them all.

    Args:
        x: float64 ``[rows, features]``.
        labels: float64 ``[rows]``, 0 or 1.
        ridge: keeps separable classes finite.
        steps: of Newton's method.

    Returns:
        float64 ``[features + 1]``, the intercept last.
    """
    wide = torch.cat((x, x.new_ones(len(x), 1)), dim=1)
    weights = wide.new_zeros(wide.shape[1])
    penalty = torch.full_like(weights, ridge)
    penalty[-1] = 0
    for _ in range(steps):
        chance = torch.sigmoid(wide @ weights)
        gradient = wide.T @ (chance - labels) / len(x) + penalty * weights
        curvature = (wide.T * (chance * (1 - chance))) @ wide / len(x)
        curvature += torch.diag(penalty + 1e-9)
        step = torch.linalg.solve(curvature, gradient)
        # a long step may overshoot where classes are nearly separable
        weights = weights - step * min(1.0, 5.0 / float(step.norm().clamp(min=1e-12)))
    return weights
