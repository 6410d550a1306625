"""Files are found and read through compression."""

import gzip
import lzma
import zipfile

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.files import find, read, read_all


def test_plain_goes_before_compressed(tmp_path):
    (tmp_path / "a.dat.gz").write_bytes(gzip.compress(b"packed"))
    assert read_all(tmp_path, ["a.dat"])["a.dat"].data == b"packed"
    (tmp_path / "a.dat").write_bytes(b"plain")
    assert read_all(tmp_path, ["a.dat"])["a.dat"].data == b"plain"


def test_messages_name_the_file_that_was_read(tmp_path):
    path = tmp_path / "a.dat.xz"
    path.write_bytes(lzma.compress(b"x"))
    assert find(tmp_path, "a.dat") == path
    assert read(path).name == str(path)


def test_a_near_name_is_offered(tmp_path):
    (tmp_path / "rating.dat").write_bytes(b"")
    with pytest.raises(InputError, match=r"holds no ratings\.dat .*did you mean 'rating\.dat'"):
        read_all(tmp_path, ["ratings.dat"])
    (tmp_path / "rating.dat").unlink()
    with pytest.raises(InputError, match="the folder is empty"):
        read_all(tmp_path, ["ratings.dat"])


@pytest.mark.parametrize("name", ["a.gz", "a.xz"])
def test_what_is_not_packed_so_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"plain")
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / name)


def test_a_cut_archive_is_refused(tmp_path):
    for name, pack in (("a.gz", gzip.compress), ("a.xz", lzma.compress)):
        (tmp_path / name).write_bytes(pack(bytes(range(256)) * 9)[:-9])
        with pytest.raises(InputError, match="cannot read"):
            read(tmp_path / name)


def packed(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)


def test_a_zip_archive_is_its_only_file(tmp_path):
    packed(tmp_path / "log.zip", in__log_csv="a,b")
    with zipfile.ZipFile(tmp_path / "log.zip", "a") as archive:
        archive.writestr("__MACOSX/in/._log.csv", "x")
        archive.mkdir("empty")
    found = read(tmp_path / "log.zip")
    assert (found.name, found.data) == (f"{tmp_path / 'log.zip'}/in/log.csv", b"a,b")
    packed(tmp_path / "b.csv.zip", b_csv="c")
    assert find(tmp_path, "b.csv") == tmp_path / "b.csv.zip"


def test_a_file_of_an_archive_is_named_by_its_path_in_there(tmp_path):
    packed(tmp_path / "all.zip", in__a_csv="1", in__b_csv="2")
    path = find(tmp_path, "all.zip/in/b.csv")
    assert path is not None
    assert read(path).data == b"2"
    with pytest.raises(
        InputError, match=r"holds 2 files, not one: write all\.zip/NAME .*in/a\.csv"
    ):
        read(tmp_path / "all.zip")
    with pytest.raises(InputError, match=r"and no in/c\.csv: .*did you mean 'in/"):
        read(tmp_path / "all.zip" / "in/c.csv")


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"plain")
    for path in (tmp_path / "a.zip", tmp_path / "a.zip" / "b.csv"):
        with pytest.raises(InputError, match="cannot read"):
            read(path)
