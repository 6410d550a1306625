"""``/metrics`` for Prometheus and ``/health``, on loopback: the counters of a run, and no more."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ufgraphfr.deploy.server.metrics import prometheus, read_metrics

PATHS = ("/metrics", "/health")


def health(values: dict[str, Any]) -> bytes:
    """That the run's process answers, how far it is, and for how long nothing was counted."""
    facts = {"status": "ok", "state": values.get("state", "starting")}
    facts |= {name: values.get(name, 0) for name in ("rounds", "rounds_planned", "nodes")}
    facts["seconds"] = round(time.time() - values.get("time", time.time()), 1)
    return json.dumps(facts).encode()


class Exporter:
    """Serves the file of a `RunMetrics` until it is closed."""

    def __init__(self, path: Path, port: int) -> None:
        """Listens on 127.0.0.1; port 0 is any that is free."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                values, kind = read_metrics(path), "text/plain; version=0.0.4; charset=utf-8"
                body = b"only /metrics and /health\n"
                if self.path == "/metrics":
                    body = prometheus(values).encode()
                elif self.path == "/health":
                    body, kind = health(values), "application/json"
                self.send_response(200 if self.path in PATHS else 404)
                self.send_header("Content-Type", kind)
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
