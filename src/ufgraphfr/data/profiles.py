"""All profiles that anybody could have, where they can be counted up."""

import math
from collections.abc import Mapping, Sequence
from itertools import product

from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.templates import person

LARGEST = 20_000
"""Profiles; more are not written out."""
FIELDS = ("age", "gender", "occupation")


def combinations(values: Mapping[str, Sequence[str]]) -> list[dict[str, str]] | None:
    """Every combination of the fields' values; None where there are too many."""
    sizes = [len(own) for own in values.values()]
    if math.prod(sizes) > LARGEST:
        return None
    return [dict(zip(values, each, strict=True)) for each in product(*values.values())]


def every_profile(dataset: Dataset) -> list[dict[str, str]] | None:
    """Every combination of the ages, genders and occupations that users of the data set have.

    It is what an attacker would try, and not public: it follows from the users' own profiles.
    None where its sentences are not made of those, or where there are too many.
    """
    first = dataset.users.profiles[0]
    if not first.keys() >= set(FIELDS) or person(first) != dataset.users.texts[0]:
        return None
    profiles = [profile for profile in dataset.users.profiles if profile]
    return combinations({name: sorted({own[name] for own in profiles}) for name in FIELDS})
