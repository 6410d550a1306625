"""Exposure: by hand, and only among those who do not have the item."""

import math

import torch
from made_batches import made_batch

from ufgraphfr.evaluation.exposure import exposure, has


def test_exposure_by_hand():
    clients = made_batch([2, 2, 2, 2], items=6)
    target = 3
    owns = [target in clients.items[2 * c : 2 * c + 2].tolist() for c in range(4)]
    assert has(clients, target).tolist() == owns
    scores = torch.zeros(4, 6)
    scores[0, target] = scores[2, target] = 1.0  # best of clients 0 and 2
    scores[1, target] = scores[3, target] = -1.0
    asked = [c for c in range(4) if not owns[c]]
    expected = sum(c in (0, 2) for c in asked) / len(asked)

    def score(part):
        return scores[(part.clients - 10) // 3]

    assert exposure(score, clients, target, k=1, chunk=3) == expected
    assert exposure(score, clients, target, k=6) == 1.0


def test_nobody_left_to_ask():
    clients = made_batch([3], items=4)
    owned = int(clients.items[0])
    assert math.isnan(exposure(lambda part: torch.zeros(len(part), 4), clients, owned))
