"""The cache folder can be moved; files in it are whole or absent."""

import os
from pathlib import Path

import pytest

from ufgraphfr.core.folders import VARIABLE, cache_folder, write_atomically


def test_the_environment_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert cache_folder("text", "x") == tmp_path / "text" / "x"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "~/here")
    assert cache_folder() == tmp_path / "here"


def test_without_it_the_cache_lies_in_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    folder = cache_folder("text")
    assert folder.is_absolute()
    assert folder.parts[-2:] == ("ufgraphfr", "text")


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_what_comes_in_pieces_is_one_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", iter([b"one", memoryview(b"two")]), sync=True)
    assert (tmp_path / "file").read_bytes() == b"onetwo"


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomically(taken, b"data")
    assert list(tmp_path.iterdir()) == [taken]


def test_what_root_writes_is_of_whoever_owns_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given, own = list[tuple[int, int]](), (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    monkeypatch.setattr(os, "chown", lambda _, user, group: given.append((user, group)))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    write_atomically(tmp_path / "a" / "b" / "file", b"x")
    assert given == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    write_atomically(tmp_path / "c" / "d" / "file", b"x")
    assert given == [own] * 3

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refused)
    write_atomically(tmp_path / "e" / "file", b"x", public=True)
    assert (tmp_path / "e" / "file").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "a" / "b" / "file").stat().st_mode & 0o777 == 0o600
