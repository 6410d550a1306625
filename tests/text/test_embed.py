"""Texts are encoded once; the cache can be damaged, moved or excluded without harm."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import PrivateAttr

from ufgraphfr.text import Encoder, embed
from ufgraphfr.text.hashing import Hashing

TEXTS = ["red green", "blue", "red green", "white"]


class Counting(Hashing):
    """Hashing that remembers what it was asked."""

    salt: str = ""
    _calls: list[list[str]] = PrivateAttr(default_factory=list)
    _threads: list[int] = PrivateAttr(default_factory=list)

    def fingerprint(self) -> str:
        return super().fingerprint() + self.salt

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self._calls.append(list(texts))
        self._threads.append(torch.get_num_threads())
        return super().encode(texts)


class Broken(Encoder):
    """Returns what it is told to."""

    width: int = 2
    rows: int = 1
    value: str = "1"

    def fingerprint(self) -> str:
        return self.value

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.full((self.rows * len(texts), 2), float(self.value), np.float32)


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """The one file that holds ``TEXTS``."""
    embed(Counting(), TEXTS, tmp_path)
    (path,) = tmp_path.iterdir()
    return path


def test_distinct_texts_are_encoded_once_and_then_read(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    vectors = embed(first, TEXTS, tmp_path)
    np.testing.assert_array_equal(vectors, Hashing().encode(TEXTS))
    assert first._calls == [["blue", "red green", "white"]]
    np.testing.assert_array_equal(embed(second, TEXTS, tmp_path), vectors)
    assert second._calls == []


def test_the_same_texts_in_another_order_share_the_file(tmp_path: Path) -> None:
    vectors = embed(Counting(), TEXTS, tmp_path)
    other = Counting()
    np.testing.assert_array_equal(embed(other, TEXTS[::-1], tmp_path), vectors[::-1])
    assert other._calls == []


@pytest.mark.parametrize(
    ("encoder", "texts"),
    [
        (Counting(salt="2"), TEXTS),
        (Counting(width=32), TEXTS),
        (Counting(), [*TEXTS, "new"]),
        (Counting(), ["red", "green blue", "white"]),
        (Counting(), ["red green", 'blue", "white']),
    ],
    ids=["fingerprint", "width", "more", "other", "quotes"],
)
def test_another_encoder_or_text_is_encoded(
    cached: Path, encoder: Counting, texts: list[str]
) -> None:
    embed(encoder, texts, cached.parent)
    assert len(encoder._calls) == 1
    assert len(list(cached.parent.iterdir())) == 2


def test_the_file_is_an_array_anyone_can_read(cached: Path) -> None:
    stored = np.load(cached, allow_pickle=False)
    np.testing.assert_array_equal(stored, Hashing().encode(["blue", "red green", "white"]))


@pytest.mark.parametrize("keep", [0, 1, 60, 130, -1])
def test_a_file_cut_short_is_made_again(
    cached: Path, keep: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = cached.read_bytes()
    cached.write_bytes(whole[:keep])
    encoder = Counting()
    np.testing.assert_array_equal(embed(encoder, TEXTS, cached.parent), Hashing().encode(TEXTS))
    assert len(encoder._calls) == 1
    assert "is damaged: encoding the texts again" in caplog.text
    assert cached.read_bytes() == whole


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_byte_is_noticed(cached: Path, data: st.DataObject) -> None:
    content = bytearray(cached.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    cached.write_bytes(bytes(content))
    encoder = Counting()
    np.testing.assert_array_equal(embed(encoder, TEXTS, cached.parent), Hashing().encode(TEXTS))
    assert len(encoder._calls) == 1


def test_a_folder_that_cannot_be_used_costs_only_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    vectors = embed(Counting(), TEXTS, tmp_path / "file")
    np.testing.assert_array_equal(vectors, Hashing().encode(TEXTS))
    assert "cannot be read" in caplog.text
    assert "cannot be written" in caplog.text


def test_the_default_folder_is_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UFGRAPHFR_CACHE", str(tmp_path))
    embed(Counting(), TEXTS)
    assert [path.suffix for path in (tmp_path / "text").iterdir()] == [".npy"]


def test_no_text_needs_no_encoder_and_no_file(tmp_path: Path) -> None:
    encoder = Counting()
    vectors = embed(encoder, [], tmp_path)
    assert vectors.shape == (0, 64)
    assert vectors.dtype == np.float32
    assert encoder._calls == []
    assert list(tmp_path.iterdir()) == []


def test_encoding_runs_on_one_thread_and_gives_the_others_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        encoder = Counting()
        embed(encoder, TEXTS, tmp_path)
        assert encoder._threads == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (Broken(rows=2), r"returned shape \(6, 2\) for 3 texts of width 2"),
        (Broken(width=5), r"returned shape \(3, 2\) for 3 texts of width 5"),
        (Broken(value="nan"), "not finite"),
        (Broken(value="inf"), "not finite"),
    ],
)
def test_an_encoder_that_breaks_its_contract_is_stopped(
    tmp_path: Path, encoder: Broken, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        embed(encoder, TEXTS, tmp_path)
    assert list(tmp_path.iterdir()) == []
