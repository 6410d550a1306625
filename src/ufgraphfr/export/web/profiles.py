"""What a page may ask of its reader: fields of a profile, and every sentence that they make.

The encoder of sentences does not fit into a page. So each combination of values, a value left out
included, is embedded beforehand, in the two forms that the model reads.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
import torch

from ufgraphfr.algorithms.ufgraphformer.graph.profile_map import coordinates
from ufgraphfr.algorithms.ufgraphformer.private.profile import (
    coordinates as private_coordinates,
)
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.export.onnx.flagship import State
from ufgraphfr.export.onnx.graph import Array
from ufgraphfr.serve.items import Items
from ufgraphfr.serve.known import KnownUsers
from ufgraphfr.serve.people import People
from ufgraphfr.text import embed

MOST = 5_000
"""Combinations: some 300 bytes each in the page, and a few seconds to embed them."""


@dataclass(frozen=True)
class Profiles:
    """Fields and sentences.

    Attributes:
        fields: values by name.
        left_out: fields that would have made too many combinations, by how many values they have.
        coordinates: float32 ``[combinations, 1 + width]``, see `onnx.profile`; the last field's
            value runs fastest, and the first of each field is that it is not known.
        projected: float32 ``[combinations, width]``.
    """

    fields: dict[str, list[str]]
    left_out: dict[str, int]
    coordinates: Array
    projected: Array


def profiles(run: Run, prepared: PreparedExperiment, shared: State) -> Profiles:
    """Those of a run: what its data declare (`Source.profile_values`), or else what users have.

    What users have is not told under a guarantee.
    """
    known = KnownUsers.of(prepared)
    people = People(known, run.experiment.encoder, Items(prepared.dataset.catalogue), "")
    declared = run.experiment.source.profile_values
    values: Mapping[str, Collection[object]] = declared or (
        {} if run.experiment.is_private else known.values
    )
    fields = {name: sorted(map(str, own), key=_order) for name, own in values.items()}
    left_out = {}
    while prod(1 + len(own) for own in fields.values()) > MOST:
        most = max(fields, key=lambda name: len(fields[name]))
        left_out[most] = len(fields.pop(most))
    texts = [
        people.sentence({name: value for name, value in zip(fields, own, strict=True) if value})
        for own in product(*(["", *own] for own in fields.values()))
    ]
    vectors = torch.from_numpy(embed(run.experiment.encoder, texts))
    if "directions" in shared:
        own = private_coordinates(vectors, torch.from_numpy(shared["directions"]))
        return Profiles(fields, left_out, own.numpy(), np.zeros((len(texts), 0), np.float32))
    projection = shared.get("projection")
    projected = vectors if projection is None else vectors @ torch.from_numpy(projection)
    return Profiles(fields, left_out, coordinates(vectors).numpy(), projected.numpy())


def _order(value: str) -> tuple[bool, float, str]:
    """Numbers by size, then words."""
    number = value.isdigit()
    return not number, float(value) if number else 0.0, value
