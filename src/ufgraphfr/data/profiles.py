"""All profiles that anybody could have, where they can be counted up: public, asking nobody."""

from itertools import product

from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.templates import person

LARGEST = 20_000
"""Profiles; more are not written out."""
FIELDS = ("age", "gender", "occupation")


def every_profile(dataset: Dataset) -> list[dict[str, str]] | None:
    """Every combination of the data set's ages, genders and occupations.

    None where its sentences are not made of those, or where there are too many.
    """
    first = dataset.users.profiles[0]
    if not first.keys() >= set(FIELDS) or person(first) != dataset.users.texts[0]:
        return None
    values = [
        sorted({profile[name] for profile in dataset.users.profiles if profile}) for name in FIELDS
    ]
    space = [dict(zip(FIELDS, each, strict=True)) for each in product(*values)]
    return space if len(space) <= LARGEST else None
