"""Public item features as numbers: what is known before any interaction.

A feature's type follows from its values, unless the table says it. It is a set of labels if an item
has several values. It is a number if its values are numbers, but for a few odd ones, and do not
look like codes: codes have leading zeros or a name that says so, or are few whole numbers, for
which a column each loses nothing but their order. Labels that hardly two items share (addresses)
are left out. Frequent labels have a column each; the others that several items share are hashed
into a fixed number of columns with a random sign, so that collisions cancel on average (Weinberger
et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009).
"""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.missing import present

Kind: TypeAlias = Literal["label", "number", "text"]
Values: TypeAlias = Sequence[tuple[str, ...]]

MOST_VALUES = 64
"""So many labels of a feature, the most frequent, have a column each."""
HASHED = 64
"""Columns that the other labels share."""
PERIODS = 10
"""A numeric feature becomes this many equally filled intervals."""
FEW = 2 * PERIODS
"""Whole numbers of no more different values are taken as labels."""
SHARED = 0.05
"""Where fewer of the items than this share have a label in common with another item, the feature
names its item (an address, a picture) and describes none."""
ODD = 0.05
"""Share of the values that may be no numbers in a numeric feature."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?")
_CODE_NAME = re.compile(r"(^|[^a-z])(id|ids|code|codes|zip|zipcode|postcode|isbn|sku)$")

logger = logging.getLogger(__name__)


def item_features(catalogue: Catalogue) -> Tensor:
    """One column for each value of each feature, scaled so that every item's row has length one.

    Args:
        catalogue: its ``features`` are used; numbers (a year) as intervals, labels (genres) by
            value, texts not at all. What is cut, hashed or taken as missing is logged.

    Returns:
        float ``[items, columns]``; no columns without features. An item without values has zeros.
    """
    features = sorted(catalogue.features.items())
    known = {name: [present(own) for own in values] for name, values in features}
    kinds = {name: catalogue.kinds.get(name) or kind_of(name, own) for name, own in known.items()}
    if kinds:
        logger.info("item features: " + ", ".join(f"{name} ({kinds[name]})" for name in kinds))
    columns = [_columns(name, own, kinds[name]) for name, own in known.items()]
    joined = torch.cat([torch.zeros(len(catalogue.items), 0), *columns], dim=1)
    return torch.nn.functional.normalize(joined, dim=1) if joined.shape[1] else joined


def kind_of(name: str, values: Values) -> Kind:
    """What a feature is by its values, where nobody said it; see the head of this file."""
    if any(len(own) > 1 for own in values):
        return "label"
    given = list(chain.from_iterable(values))
    numbers = [value for value in given if _NUMBER.fullmatch(value)]
    if not numbers or len(given) - len(numbers) > ODD * len(given):
        return "label"
    whole = all(number.lstrip("+-").isdigit() for number in numbers)
    zeros = any(len(number) > 1 and number.isdigit() and number[0] == "0" for number in numbers)
    coded = zeros or (whole and _CODE_NAME.search(name.lower()) is not None)
    few = whole and len(set(numbers)) <= FEW < len(numbers)
    return "label" if coded or few else "number"


def _columns(name: str, values: Values, kind: str) -> Tensor:
    if kind == "text":
        return torch.zeros(len(values), 0)
    return _intervals(name, values) if kind == "number" else _labels(name, values)


def _labels(name: str, values: Values) -> Tensor:
    counts = Counter(chain.from_iterable(map(set, values)))
    alike = sum(any(counts[label] > 1 for label in own) for own in values)
    if len(counts) > MOST_VALUES and alike < SHARED * len(values):
        logger.warning(
            f"item feature '{name}' is left out: only {alike:,} of {len(values):,} items have one "
            f"of its {len(counts):,} labels in common with another item"
        )
        return torch.zeros(len(values), 0)
    # the most frequent first, names break ties
    names = sorted(counts, key=lambda label: (-counts[label], label))
    column = {label: (place, 1.0) for place, label in enumerate(names[:MOST_VALUES])}
    rest = names[MOST_VALUES:]
    shared = [label for label in rest if counts[label] > 1]
    column |= {label: _hashed(label) for label in shared}
    if rest:
        logger.warning(
            f"item feature '{name}' has {len(names):,} labels: the {MOST_VALUES} most frequent "
            f"have a column each, {len(shared):,} share {HASHED} columns, and "
            f"{len(rest) - len(shared):,} that only one item has are left out"
        )
    width = len(names) if not rest else MOST_VALUES + HASHED * bool(shared)
    hot = torch.zeros(len(values), width)
    for row, own in enumerate(values):
        for place, sign in (column[label] for label in set(own) if label in column):
            hot[row, place] += sign
    return hot


def _hashed(label: str) -> tuple[int, float]:
    """The shared column of a label and its sign, the same on every machine."""
    number = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
    half, sign = divmod(number, 2)
    return MOST_VALUES + half % HASHED, 1.0 if sign else -1.0


def _intervals(name: str, values: Values) -> Tensor:
    numbers = [float(own[0]) if own and _NUMBER.fullmatch(own[0]) else torch.nan for own in values]
    known = torch.tensor(numbers)
    has = ~known.isnan()
    odd = [own[0] for own, number in zip(values, has.tolist(), strict=True) if own and not number]
    if odd:
        logger.warning(
            f"item feature '{name}' is numeric, and {len(odd):,} of its values are not "
            f"(such as '{odd[0]}'): they are taken as missing; if its values are labels, set "
            f'[data.features] {name} = "label"'
        )
    finite = known[has]
    if not len(finite):
        return torch.zeros(len(values), 0)
    edges = torch.quantile(finite, torch.linspace(0, 1, PERIODS + 1)[1:-1]).unique()
    hot = torch.zeros(len(values), len(edges) + 1)
    hot[has.nonzero()[:, 0], torch.bucketize(finite, edges, right=True)] = 1
    return hot
