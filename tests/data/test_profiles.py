"""All profiles: every combination, where sentences are made of known fields."""

from dataclasses import replace

from ufgraphfr.data.profiles import every_profile
from ufgraphfr.data.sources import SOURCES


def test_every_combination_is_there_once() -> None:
    dataset = SOURCES.build("ml-100k", {}, "[data]").load(None)
    space = every_profile(dataset)
    assert space is not None
    assert len({tuple(profile.items()) for profile in space}) == len(space)
    values = {name: {p[name] for p in dataset.users.profiles if p} for name in space[0]}
    assert len(space) == len(values["age"]) * len(values["gender"]) * len(values["occupation"])


def test_other_sentences_cannot_be_enumerated() -> None:
    dataset = SOURCES.build("ml-100k", {}, "[data]").load(None)
    others = replace(dataset.users, texts=("Somebody.",) * len(dataset.users.texts))
    assert every_profile(replace(dataset, users=others)) is None
