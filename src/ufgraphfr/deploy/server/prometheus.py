"""``/metrics`` for Prometheus, on loopback: the counters of the run, and nothing else."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ufgraphfr.deploy.server.metrics import prometheus, read_metrics


class Exporter:
    """Serves the file of a `RunMetrics` until it is closed."""

    def __init__(self, path: Path, port: int) -> None:
        """Listens on 127.0.0.1; port 0 is any that is free."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_metrics = self.path == "/metrics"
                body = prometheus(read_metrics(path)).encode() if is_metrics else b"only /metrics\n"
                self.send_response(200 if is_metrics else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Scrapes are not worth a line."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
