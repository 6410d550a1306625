"""One epoch of training samples for stacked clients: their positives with fresh negatives."""

import torch

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.samples import Samples, shuffled


def epoch_samples(batch: ClientBatch, key: Key, negatives: int, epoch: int) -> Samples:
    """Every training item once, with ``negatives`` fresh negatives, in shuffled order.

    Negatives are from outside the excluded items; ``key`` has seed and round, and epochs count from
    0 within the round.

    Returns:
        samples of ``[clients, longest * (1 + negatives)]``, padded on the right.
    """
    # clients whose counts lie within a factor of two share a draw, which keeps padding small
    counts = batch.counts.clamp(min=1)
    scale = (counts.max() / counts).log2().floor()
    sizes = scale.unique_consecutive(return_counts=True)[1].tolist()
    positions = torch.arange(len(batch), device=counts.device)
    parts = [batch.select(part) for part in positions.split(sizes)]
    return Samples.cat([_samples(part, key, negatives, epoch) for part in parts])


def _samples(batch: ClientBatch, key: Key, negatives: int, epoch: int) -> Samples:
    counts = batch.counts
    length = int(counts.max())
    positives, _ = batch.first(length)
    drawn = batch.negatives(key.to(Purpose.NEGATIVES, epoch), length * negatives)
    drawn = drawn.view(len(batch), length, negatives)
    words = key.to(Purpose.SHUFFLE, epoch).words(batch.clients, 0, length * (1 + negatives))
    return shuffled(positives, counts, drawn, words)


def window_times(batch: ClientBatch, history: int, time: torch.Tensor) -> torch.Tensor:
    """Which state scores an interaction: 0 before the window, then one for each item in it.

    The window holds a client's last ``history`` items; state j has seen the user's own token
    and the window's first j items, so the item at window position j is scored in state j. Items
    older than the window are scored in state 0, which has seen no item.

    Args:
        batch: the clients; the first ``len(time)`` are meant.
        history: L.
        time: int64 ``[clients, samples]``, positions in the histories.

    Returns:
        int64 ``[clients, samples]`` in ``[0, history)``.
    """
    before_window = (batch.counts[: len(time)] - history).clamp(min=0)
    return (time - before_window[:, None]).clamp(min=0, max=max(history - 1, 0))
