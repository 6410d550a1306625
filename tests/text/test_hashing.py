"""Feature hashing against a plain computation, frozen across processes and versions."""

from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.text.hashing import Hashing

WORDS = st.lists(st.sampled_from(["a", "bee", "cat", "dog", "élan", "42"]), max_size=8)


def plainly(words: list[str], width: int) -> list[float]:
    """Word by word, as the definition says."""
    sums = [0.0] * width
    pairs = [f"{words[i]} {words[i + 1]}" for i in range(len(words) - 1)]
    for gram in words + pairs:
        number = int(blake2b(gram.encode(), digest_size=8).hexdigest(), 16)
        sums[(number // 2) % width] += -1 if number % 2 else 1
    norm = sum(value**2 for value in sums) ** 0.5
    return [value / norm if norm else 0.0 for value in sums]


@given(WORDS, st.integers(2, 40))
def test_equals_a_plain_computation(words: list[str], width: int) -> None:
    vector = Hashing(width=width).encode([" ".join(words)])[0]
    np.testing.assert_allclose(vector, plainly(words, width), atol=1e-6)


def test_vectors_stay_the_same_for_ever() -> None:
    root = 1 / 7**0.5
    expected = [0, root, -root, 0, root, 0, 0, -2 * root]
    np.testing.assert_allclose(Hashing(width=8).encode(["a b a"])[0], expected, atol=1e-6)


def test_case_and_punctuation_do_not_count_but_order_does() -> None:
    plain, shouted, turned = Hashing().encode(
        ["red green blue", "RED, green: Blue!", "blue green red"]
    )
    np.testing.assert_array_equal(plain, shouted)
    assert 0.3 < plain @ turned < 0.99


def test_signs_keep_unrelated_texts_apart_on_average() -> None:
    texts = [f"w{3 * n} w{3 * n + 1} w{3 * n + 2}" for n in range(200)]
    vectors = Hashing(width=32).encode(texts)
    cosines = (vectors @ vectors.T)[np.triu_indices(len(texts), 1)]
    # without signs the mean would be about 5 / 32
    assert cosines.mean() == pytest.approx(0, abs=0.01)
