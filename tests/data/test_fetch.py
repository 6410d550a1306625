"""Fetching from a real server: whole and published, or not at all."""

import hashlib
import socket
import zipfile

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.dataset import Card
from ufgraphfr.data.fetch import Published, archive, check, download, matches, unpack
from ufgraphfr.data.files import File

CARD = Card("toy", "Toy data", licence="for toys only.", citation="Toy 2020")


def publish(folder, site, name, data):
    (folder / name).write_bytes(data)
    return Published(f"{site}/{name}", f"sha256:{hashlib.sha256(data).hexdigest()}")


def pack(folder, files):
    path = folder / "packed.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return path.read_bytes()


def test_download_gives_the_published_bytes(server_folder, site):
    assert download(publish(server_folder, site, "a.txt", b"abc")) == b"abc"


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_digests_name_their_algorithm(algorithm):
    digest = f"{algorithm}:{hashlib.new(algorithm, b'abc').hexdigest()}"
    assert matches(b"abc", digest)
    assert not matches(b"abd", digest)
    with pytest.raises(InputError, match=r"x is not the published file.*3 bytes"):
        check(b"abd", digest, "x")


def test_a_missing_file_is_named(site):
    with pytest.raises(InputError, match=r"no\.txt cannot be fetched .*404"):
        download(Published(f"{site}/no.txt", "sha256:0"))


def test_a_silent_server_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(InputError, match="timed out"):
            download(Published(url, "sha256:0"), timeout_seconds=0.1)


def test_an_archive_is_fetched_once(server_folder, site, cache, caplog):
    data = pack(server_folder, {"toy/one.dat": "1", "toy/two.dat": "2"})
    published = publish(server_folder, site, "toy.zip", data)
    files = archive(CARD, published, ("one.dat", "two.dat"))
    assert {name: file.data for name, file in files.items()} == {"one.dat": b"1", "two.dat": b"2"}
    (server_folder / "toy.zip").unlink()
    assert archive(CARD, published, ("two.dat",))["two.dat"].data == b"2"
    assert caplog.text.count("for toys only") == 1
    assert [p.name for p in (cache / "datasets" / "toy").iterdir()] == ["toy.zip"]


def test_a_damaged_archive_in_the_cache_is_fetched_again(server_folder, site, cache):
    data = pack(server_folder, {"one.dat": "1"})
    published = publish(server_folder, site, "toy.zip", data)
    archive(CARD, published, ("one.dat",))
    kept = cache / "datasets" / "toy" / "toy.zip"
    kept.write_bytes(data[:50])
    assert archive(CARD, published, ("one.dat",))["one.dat"].data == b"1"
    assert kept.read_bytes() == data


def test_a_wrong_archive_is_not_kept(server_folder, site, cache):
    published = publish(server_folder, site, "toy.zip", pack(server_folder, {"one.dat": "1"}))
    (server_folder / "toy.zip").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"not the published file.*by hand.*--data-dir"):
        archive(CARD, published, ("one.dat",))
    assert not list(cache.rglob("*"))


def test_a_file_missing_from_an_archive_is_named(tmp_path):
    packed = File("toy.zip", pack(tmp_path, {"one.dat": "1"}))
    with pytest.raises(InputError, match=r"toy\.zip holds no two\.dat"):
        unpack(packed, ("one.dat", "two.dat"))
