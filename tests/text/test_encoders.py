"""What every text encoder promises; a new file in the package is tested here without an edit."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.text import ENCODERS, Encoder, embed

TEXTS = [
    "The user is a 24-year-old woman who works as a writer.",
    "The user is a 53-year-old man who works as a lawyer.",
    "The user is a 24-year-old woman who works as a nurse.",
    "Zoë lives in Kraków; she likes 日本 cinema & jazz.",
    "x",
    "",
    "The user is a 24-year-old woman who works as a writer. " * 60,
]


@pytest.fixture(scope="module", params=ENCODERS.kinds)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    built = ENCODERS.build(request.param, {}, "[text]")
    try:
        built.fingerprint()
    except MissingExtra as error:
        pytest.skip(str(error))
    return built


@pytest.fixture(scope="module")
def vectors(encoder: Encoder) -> NDArray[np.float32]:
    return encoder.encode(TEXTS)


def test_vectors_are_finite_float32_of_the_width(
    encoder: Encoder, vectors: NDArray[np.float32]
) -> None:
    assert vectors.shape == (len(TEXTS), encoder.width)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


def test_vectors_with_words_have_norm_one(vectors: NDArray[np.float32]) -> None:
    worded = [row for row, text in enumerate(TEXTS) if text]
    np.testing.assert_allclose(np.linalg.norm(vectors[worded], axis=1), 1, rtol=1e-5)


def test_different_texts_differ(vectors: NDArray[np.float32]) -> None:
    short = vectors[:5]
    distance = np.linalg.norm(short[:, None] - short[None, :], axis=2) + np.eye(len(short))
    assert distance.min() > 0.1


def test_texts_that_share_words_are_closer(vectors: NDArray[np.float32]) -> None:
    writer, lawyer, nurse, other = vectors[:4]
    assert writer @ nurse > writer @ other
    assert writer @ lawyer > writer @ other


def test_a_vector_does_not_depend_on_its_company(
    encoder: Encoder, vectors: NDArray[np.float32]
) -> None:
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1])[::-1], vectors, atol=2e-6)
    np.testing.assert_allclose(encoder.encode(TEXTS[3:4]), vectors[3:4], atol=2e-6)


def test_encoding_is_deterministic(encoder: Encoder, vectors: NDArray[np.float32]) -> None:
    again = ENCODERS.build(encoder.kind, encoder.model_dump(), "[text]")
    assert again.fingerprint() == encoder.fingerprint()
    np.testing.assert_array_equal(again.encode(TEXTS), vectors)


def test_no_text_gives_no_vector(encoder: Encoder, tmp_path: Path) -> None:
    assert embed(encoder, [], tmp_path).shape == (0, encoder.width)


def test_a_width_that_is_not_the_encoders_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[text\] width = 300: .*512"):
        ENCODERS.build("use", {"width": 300}, "[text]")
    with pytest.raises(InputError, match=r"\[text\] width = 0: "):
        ENCODERS.build("hashing", {"width": 0}, "[text]")
