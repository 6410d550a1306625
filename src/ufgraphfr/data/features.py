"""Public item features as numbers: what is known before any interaction."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from ufgraphfr.data.catalogue import Catalogue

MOST_VALUES = 64
"""Of a feature with more values only the most frequent become columns."""
PERIODS = 10
"""A numeric feature becomes this many equally filled intervals."""


def item_features(catalogue: Catalogue) -> Tensor:
    """One column for each value of each feature, scaled so that every item's row has length one.

    Args:
        catalogue: its ``features`` are used; numeric ones (a year) as intervals, others (genres)
            by value.

    Returns:
        float ``[items, columns]``; no columns without features. An item without values has zeros.
    """
    columns = [_columns(values) for _, values in sorted(catalogue.features.items())]
    joined = torch.cat([torch.zeros(len(catalogue.items), 0), *columns], dim=1)
    return torch.nn.functional.normalize(joined, dim=1) if joined.shape[1] else joined


def _columns(values: Sequence[tuple[str, ...]]) -> Tensor:
    counts = Counter(chain.from_iterable(values))
    if counts and all(map(_is_number, counts)):
        return _intervals(values)
    # the most frequent first, names break ties
    names = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_VALUES]
    hot = [[float(name in of_item) for name in names] for of_item in values]
    return torch.tensor(hot).view(len(values), len(names))


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _intervals(values: Sequence[tuple[str, ...]]) -> Tensor:
    known = torch.tensor([float(of_item[0]) if of_item else math.nan for of_item in values])
    has = ~known.isnan()
    finite = known[has]
    edges = torch.quantile(finite, torch.linspace(0, 1, PERIODS + 1)[1:-1]).unique()
    hot = torch.zeros(len(values), len(edges) + 1)
    hot[has.nonzero()[:, 0], torch.bucketize(finite, edges, right=True)] = 1
    return hot
