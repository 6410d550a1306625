"""The proxy forwards a node's messages, by the path as it came, and nothing else."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from small_federation import federate, toy_values

from ufgraphfr.deploy.operations import processes

pytestmark = pytest.mark.slow
SECONDS = 30.0
OPEN = ("/v1/fleet/pull-messages", "/v1/fleet/push-object")
CLOSED = (
    "/v1/control/start-run",
    "/v1/fleet/../control/start-run",
    "/v1/fleet/%2e%2e/control/start-run",
    "/v1/fleet/..%2fcontrol/start-run",
    "/v1/control/..%2ffleet/pull-messages",
    "/v1/control/../fleet/pull-messages",
    "/v1/%63ontrol/start-run",
    "//v1/control/start-run",
    "/v1/./control/start-run",
    "/v1/control/start-run/%2e%2e/%2e%2e/fleet/x",
    "/v1/runtime/../fleet/x",
    "/v1/control/start-run%3f/../../../fleet/x",
    "/v1/fleet/x?/../../control/start-run",
    "/v1/fleet/x%00",
    "/v1/fleet/",
    "/V1/fleet/x",
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def upstream(tls, port):
    """In place of the engine: says which paths come through."""
    came = list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            came.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "server.crt", tls / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield came
    finally:
        server.shutdown()
        server.server_close()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def post(path, port, authority):
    """The status of a request whose path no client has tidied up."""
    context = ssl.create_default_context(cafile=str(authority))
    plain = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        lines = f"POST {path} HTTP/1.1", "Host: localhost", "Content-Length: 0"
        connection.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode())
        return int(connection.recv(1000).split()[1])


def test_no_spelling_of_another_path_comes_through(tmp_path):
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.fail("nginx is not installed: apt-get install nginx-light")
    port, public = free_port(), free_port()
    folder = federate(tmp_path / "d", toy_values(), port=port, public_port=public).folder
    rules = (folder.path / "nginx" / "ufgraphfr.conf").read_text()
    rules = rules.replace(f"listen {public} ssl", f"listen 127.0.0.1:{public} ssl")
    user = "user root; " if os.getuid() == 0 else ""
    places = " ".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"{user}daemon off; pid {tmp_path}/nginx.pid; events {{}}\n"
        f"http {{ access_log off; {places}\n{rules}}}\n"
    )
    words = [nginx, "-c", f"{tmp_path}/nginx.conf", "-p", f"{tmp_path}", "-e", f"{tmp_path}/e.log"]
    assert subprocess.run([*words, "-t"], capture_output=True, check=False).returncode == 0
    proxy = processes.start(words, {}, tmp_path / "nginx.log")
    tls = folder.server.tls
    try:
        with upstream(tls, port) as came:
            until = time.monotonic() + SECONDS
            while not listens(public) and time.monotonic() < until:
                time.sleep(0.05)
            assert [post(path, public, tls / "ca.crt") for path in OPEN] == [200] * len(OPEN)
            found = {path: post(path, public, tls / "ca.crt") for path in CLOSED}
            assert set(found.values()) <= {400, 404}, found
            assert came == list(OPEN)
    finally:
        processes.end([proxy])
