"""A real web server on this machine, for what is fetched."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server_folder(tmp_path: Path) -> Path:
    """What the server serves."""
    folder = tmp_path / "server"
    folder.mkdir()
    return folder


@pytest.fixture
def site(server_folder: Path) -> Iterator[str]:
    """The address of the running server."""
    handler = partial(_Quiet, directory=str(server_folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("UFGRAPHFR_CACHE", str(folder))
    return folder
