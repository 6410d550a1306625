"""The report of a run while it trains, on this machine alone: made anew when a browser asks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.report.gather import gather
from ufgraphfr.report.html import paragraph
from ufgraphfr.report.page import framed, report_page

LOOPBACK = "127.0.0.1"
SECONDS = 5
"""Between two looks of a browser at a run that goes on."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_ONE = threading.Lock()
"""Charts are drawn one page at a time."""


@contextmanager
def live_report(folder: Path, data_dir: Path | None = None, port: int = 0) -> Iterator[str]:
    """Serve the report of a run folder until the block is left; gives its address.

    Args:
        folder: the run folder; it need not be there yet.
        data_dir: where the data set's files lie.
        port: 0 takes one that is free.

    Raises:
        InputError: the port is taken, or matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtra("run --live", "plots")
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), partial(_Page, folder, data_dir))
    except OSError as error:
        raise InputError(f"port {port} cannot be opened ({error.strerror}): name another") from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def page_of(folder: Path, data_dir: Path | None) -> str:
    """The report as it is now, asked for again as long as the run is not finished."""
    try:
        found = gather(folder, data_dir)
        return report_page([found], refresh=SECONDS if found.result is None else None)
    except (InputError, OSError, ValueError) as error:
        # before the first round, or in the midst of a line that is being written
        return framed(folder.name, paragraph(f"Nothing to show yet: {error}"), refresh=SECONDS)


class _Page(BaseHTTPRequestHandler):
    def __init__(self, folder: Path, data_dir: Path | None, *args: object) -> None:
        self._folder, self._data_dir = folder, data_dir
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """The page; another site that a browser shows may not read it."""
        port = self.connection.getsockname()[1]
        known = (f"{LOOPBACK}:{port}", f"localhost:{port}")
        if self.path != "/" or self.headers.get("Host") not in known:
            self.send_error(404)
            return
        with _ONE:
            body = page_of(self._folder, self._data_dir).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: requests are nobody's business."""
