"""Why an item is recommended: the parts of the score, the items behind it, and both in words.

The parts' shares are exact: they add up to the score. What an item of the history did is told by
occlusion: how much lower the score would be without it (Zeiler and Fergus, "Visualizing and
understanding convolutional networks", 2014), whatever the model.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.protocol import scored
from ufgraphfr.serve.model import Model

OCCLUDED = 64
"""So many of the latest items are tried, one after the other."""
NAMED = 3
"""At most so many items of a history are named as reasons."""
SHOWN = 0.05
"""Kinds of reasons with a smaller share are not named."""
_NOTHING = 1e-6
"""Shares below this are rounding."""

TOGETHER = "goes with your items"
_WORDS = {
    "popularity": "many have it",
    "recent popularity": "many had it lately",
    "features": "has features that you like",
    "titles": "reads like your items",
    "transformer": "follows in histories like yours",
    "profile": "people with a profile like yours have it",
    "prior": "others have it",
}


def influences(model: Model, inputs: ClientBatch, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """What each item of one client's history does to the scores of some items.

    Args:
        model: the model.
        inputs: one client.
        chosen: int64 ``[n]``, the items.

    Returns:
        int64 ``[tried]``, the latest items of the history, and float ``[tried, n]``: how much lower
        each score is without each of them, before what others have is mixed in.
    """
    own = inputs.items
    tried = own[-OCCLUDED:]
    if not len(tried) or not len(chosen):
        return tried, torch.zeros(len(tried), len(chosen))
    first = len(own) - len(tried)
    kept = torch.arange(len(own)) != torch.arange(first, len(own))[:, None]
    without = inputs.select(torch.zeros(len(tried), dtype=torch.long)).with_history(
        pointers(kept.sum(1)), own.expand(len(tried), -1)[kept]
    )
    found = torch.cat([each[:, chosen] for _, each in scored(model.from_history, without)])
    return tried, model.from_history(inputs)[0, chosen] - found


def shares(model: Model, inputs: ClientBatch, chosen: Tensor) -> list[dict[str, float]]:
    """What each part adds to the score of each of some items of one client."""
    added = {name: own[0, chosen].tolist() for name, own in model.added(inputs).items()}
    lasting = {name: own for name, own in added.items() if max(map(abs, own), default=0) > _NOTHING}
    return [{name: own[at] for name, own in lasting.items()} for at in range(len(chosen))]


def in_words(titles: Sequence[str], shares: dict[str, float]) -> str:
    """A sentence from the titles behind an item and the shares of its score.

    The percentages are of what speaks for the item; parts that speak against it are left out.
    """
    grouped = dict[str, float]()
    for name, value in shares.items():
        words = words_of(name)
        grouped[words] = grouped.get(words, 0.0) + value
    pros = {words: value for words, value in grouped.items() if value > 0}
    total = sum(pros.values())
    ranked = sorted(pros.items(), key=lambda pair: -pair[1])
    parts = [f"{value / total:.0%} {words}" for words, value in ranked if value / total >= SHOWN]
    behind = _because(titles)
    return "; ".join(filter(None, (behind, ", ".join(parts))))


def words_of(name: str) -> str:
    """What a part of the score says, by its name."""
    return _WORDS.get(name, TOGETHER if " " in name or name == "low-pass" else name)


def _because(titles: Sequence[str]) -> str:
    if len(titles) < 2:
        return "".join(f"because of {title}" for title in titles)
    return f"because of {', '.join(titles[:-1])} and {titles[-1]}"
