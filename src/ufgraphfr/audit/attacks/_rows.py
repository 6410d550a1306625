"""Reading item rows: which ones moved, and to which side."""

import torch
from torch import Tensor

from ufgraphfr.audit.attacks.base import Finding, over_clients, precision_recall
from ufgraphfr.audit.bounds import auc
from ufgraphfr.audit.recording import Recording

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
    if values.shape[1] == 1:
        along = values[:, 0]
    else:
        # the first right singular vector, from the small Gram matrix
        gram = values.T @ values if values.shape[1] <= 4096 else None
        if gram is None:
            return torch.zeros(len(values), dtype=torch.float64)
        along = values @ torch.linalg.eigh(gram).eigenvectors[:, -1]
    up = int((along > 0).sum()) <= int((along < 0).sum())
    return along if up else -along


def by_table(recording: Recording) -> list[str]:
    """The names of all item tables that victims uploaded."""
    return sorted({name for upload in recording.uploads for name in upload.tables})


def upload_findings(
    measured: dict[str, list[tuple[Tensor, Tensor, Tensor]]], what: str
) -> list[Finding]:
    """AUC, precision and recall, for the table from which most was learnt.

    Args:
        measured: for each table and client: scores, guesses and truth, ``[n]`` each.
        what: what was guessed, for the reader.
    """
    if not measured:
        return []

    def learnt(name: str) -> tuple[float, float]:
        """AUC, and between equal ones precision."""
        cases = measured[name]
        precise = over_clients([precision_recall(guess, truth)[0] for _, guess, truth in cases])
        exact = over_clients([auc(scores, truth) for scores, _, truth in cases])
        return round(exact.value, 3), precise.value

    best = max(sorted(measured), key=learnt)
    cases = measured[best]
    aucs = over_clients([auc(scores, truth) for scores, _, truth in cases])
    pairs = [precision_recall(guessed, truth) for _, guessed, truth in cases]
    base = over_clients([float(truth.double().mean()) for _, _, truth in cases]).value
    note = f"table '{best}', {len(cases)} clients"
    precision, recall = (over_clients([pair[k] for pair in pairs]) for k in (0, 1))
    return [
        Finding("upload", f"{what}: AUC", aucs.value, aucs.low, 0.5, note=note),
        Finding("upload", f"{what}: precision", precision.value, precision.low, base, note=note),
        Finding("upload", f"{what}: recall", recall.value, recall.low, None, note=note),
    ]
