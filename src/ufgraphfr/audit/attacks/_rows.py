"""Reading item rows: which ones moved, and to which side."""

import torch
from torch import Tensor

from ufgraphfr.audit.attacks.base import Finding, over_clients, precision_recall
from ufgraphfr.audit.bounds import BoundedEstimate, auc

Case = tuple[Tensor, Tensor, Tensor]
"""Of one client: scores, guesses and truth, ``[n]`` each."""
MOVED = 1e-9
"""Relative to the largest row: anything above rounding."""


def moved(table: Tensor) -> tuple[Tensor, Tensor]:
    """How far each row moved, float ``[items]``, and whether it did, bool ``[items]``."""
    norms = table.double().norm(dim=1)
    return norms, norms > MOVED * norms.max().clamp(min=1e-300)


def side(table: Tensor) -> Tensor:
    """Each row's place along the direction in which rows differ most, float64 ``[items]``.

    With a linear head every row's gradient is the same user vector times the error, which is
    negative for what the user likes: one direction, and two sides. The smaller side is up, as
    fewer items are liked than drawn as negatives.
    """
    values = table.double()
    if values.shape[1] > 4096:
        return torch.zeros(len(values), dtype=torch.float64)
    if values.shape[1] == 1:
        along = values[:, 0]
    else:
        # the first right singular vector, from the small Gram matrix
        along = values @ torch.linalg.eigh(values.T @ values).eigenvectors[:, -1]
    up = int((along > 0).sum()) <= int((along < 0).sum())
    return along if up else -along


def upload_findings(measured: dict[str, list[Case]], what: str) -> list[Finding]:
    """AUC, precision and recall, for the table from which most was learnt.

    Args:
        measured: the clients' cases, by table.
        what: what was guessed, for the reader.
    """
    if not measured:
        return []
    figures = {name: _means(measured[name]) for name in sorted(measured)}
    # between equal AUCs the better precision
    best = max(figures, key=lambda name: (round(figures[name][0].value, 3), figures[name][1].value))
    cases, (exact, precision, recall) = measured[best], figures[best]
    base = over_clients([float(truth.double().mean()) for _, _, truth in cases]).value
    note = f"table '{best}', {len(cases)} clients"
    return [
        Finding("upload", f"{what}: AUC", exact.value, exact.low, 0.5, note=note),
        Finding("upload", f"{what}: precision", precision.value, precision.low, base, note=note),
        Finding("upload", f"{what}: recall", recall.value, recall.low, None, note=note),
    ]


def _means(cases: list[Case]) -> tuple[BoundedEstimate, BoundedEstimate, BoundedEstimate]:
    """AUC, precision and recall over clients."""
    exact = over_clients([auc(scores, truth) for scores, _, truth in cases])
    pairs = [precision_recall(guessed, truth) for _, guessed, truth in cases]
    precision, recall = (over_clients(list(own)) for own in zip(*pairs, strict=True))
    return exact, precision, recall
