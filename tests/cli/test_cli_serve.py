"""``serve`` as a process: it answers, loads a new version on SIGHUP and ends on SIGTERM."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import pytest
import torch

from ufgraphfr.cli.serve import answer_until_told

pytest.importorskip("uvicorn", reason="the extra serve is not installed")


def test_a_missing_run_is_told(cli, tmp_path):
    ended = cli("serve", tmp_path)
    assert ended.code == 2
    assert "no finished run" in ended.err


@pytest.mark.slow
def test_it_serves_reloads_and_ends(cli, toy, tmp_path):
    for kind in ("ease", "popularity"):
        words = ("--set", f"algorithm={{kind='{kind}'}}", "--out", tmp_path / kind, "--quiet")
        assert cli("run", toy, *words).code == 0
    link, turned = tmp_path / "now", tmp_path / "next"
    link.symlink_to(tmp_path / "ease")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "ufgraphfr", "serve", str(link), "--port", str(port)]
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        words, env=os.environ | path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert _run_of(port, process, "ease")
        turned.symlink_to(tmp_path / "popularity")
        turned.replace(link)
        process.send_signal(signal.SIGHUP)
        assert _run_of(port, process, "popularity")
        process.terminate()
        said, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode in (0, -signal.SIGTERM)
    assert f"serving ease at http://127.0.0.1:{port}/" in said
    assert "Traceback" not in errors


def test_an_answer_takes_one_thread(monkeypatch):
    before, used = torch.get_num_threads(), []
    monkeypatch.setattr("uvicorn.Server.run", lambda *_: used.append(torch.get_num_threads()))
    try:
        torch.set_num_threads(2)
        answer_until_told(lambda: None, "toy", "127.0.0.1", 0)
    finally:
        torch.set_num_threads(before)
    assert used == [1]


def _run_of(port, process, wanted):
    """Whether the service comes to serve a run within two minutes."""
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        url = f"http://127.0.0.1:{port}/health"
        with suppress(OSError), urllib.request.urlopen(url, timeout=30) as answer:
            if json.load(answer)["run"] == wanted:
                return True
        time.sleep(0.2)
    return False
