"""What every sentence encoder owes: vectors that mean something and depend on nothing else."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.core.spec import parse
from ufgraphfr.testing.contracts import (
    DEFAULTS,
    Settings,
    check,
    configured,
    require,
    survives_a_round_trip,
)
from ufgraphfr.text.base import Encoder

TEXTS = [
    "The user is a 24-year-old woman who works as a writer.",
    "The user is a 53-year-old man who works as a lawyer.",
    "The user is a 24-year-old woman who works as a nurse.",
    "Zoë lives in Kraków; she likes 日本 cinema & jazz.",
    "x",
    "",
    "The user is a 24-year-old woman who works as a writer. " * 60,
]
COMPANY = 2e-6
"""Rounding that the other sentences of a call may cause."""


def check_encoder(spec: type[Encoder], configurations: Settings = DEFAULTS) -> None:
    """Hold an encoder to its contracts, on seven sentences.

    Args:
        spec: the class.
        configurations: keys that differ from their defaults, one dict for each check.

    Raises:
        AssertionError: a contract is broken.
        InputError: a configuration is wrong.
        MissingExtra: the encoder's package is not installed.
    """
    for encoder, name in configured(spec, configurations):
        check(encoder, ENCODER_CONTRACTS, name)


@lru_cache(maxsize=1)
def _vectors(encoder: Encoder) -> NDArray[np.float32]:
    """Of all sentences, encoded once."""
    return encoder.encode(TEXTS)


def gives_finite_vectors(encoder: Encoder) -> None:
    """Vectors are finite float32 of the encoder's width."""
    vectors = _vectors(encoder)
    require(vectors.shape == (len(TEXTS), encoder.width), f"vectors of shape {vectors.shape}")
    require(vectors.dtype == np.float32, f"vectors of {vectors.dtype}")
    require(bool(np.isfinite(vectors).all()), "vectors are not finite")


def has_norm_one(encoder: Encoder) -> None:
    """The vector of a sentence with words has length 1."""
    worded = [row for row, text in enumerate(TEXTS) if text]
    lengths = np.linalg.norm(_vectors(encoder)[worded], axis=1)
    require(bool(np.allclose(lengths, 1, rtol=1e-5)), f"vectors have lengths {lengths.round(4)}")


def tells_sentences_apart(encoder: Encoder) -> None:
    """Different sentences differ, and those that share words are closer."""
    short = _vectors(encoder)[:5]
    distance = np.linalg.norm(short[:, None] - short[None, :], axis=2) + np.eye(len(short))
    require(bool(distance.min() > 0.1), "different sentences have all but the same vector")
    writer, lawyer, nurse, other = short[:4]
    nearer = min(writer @ nurse, writer @ lawyer) > writer @ other
    require(bool(nearer), "sentences that share most words are no closer than others")


def ignores_company(encoder: Encoder) -> None:
    """A sentence's vector does not depend on the other sentences, up to rounding."""
    vectors = _vectors(encoder)
    sentence = "a vector depends on which sentences are encoded with it"
    _close(encoder.encode(TEXTS[::-1])[::-1], vectors, sentence)
    _close(encoder.encode(TEXTS[3:4]), vectors[3:4], sentence)


def repeats_to_the_bit(encoder: Encoder) -> None:
    """The same settings are the same fingerprint and the same vectors."""
    again = parse(type(encoder), encoder.model_dump(), "the settings")
    require(again.fingerprint() == encoder.fingerprint(), "the fingerprint is not repeatable")
    same = np.array_equal(again.encode(TEXTS), _vectors(encoder))
    require(same, "the same sentences get other vectors the second time")


def _close(found: NDArray[np.float32], expected: NDArray[np.float32], sentence: str) -> None:
    require(bool(np.allclose(found, expected, rtol=0, atol=COMPANY)), sentence)


ENCODER_CONTRACTS: tuple[Callable[[Encoder], None], ...] = (
    survives_a_round_trip,
    gives_finite_vectors,
    has_norm_one,
    tells_sentences_apart,
    ignores_company,
    repeats_to_the_bit,
)
