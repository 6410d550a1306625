"""The SuperNode with a warm process: what it hands over, and that nothing of it is left."""

import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import accumulate
from pathlib import Path

import pytest
from flwr.supernode import cli, start_client_internal

from ufgraphfr.deploy.flower import hand_over, supernode
from ufgraphfr.deploy.operations.processes import Process, end

STAND_IN = [sys.executable, "-IS", hand_over.__file__]


def test_the_engine_still_has_what_is_warmed_and_shortened():
    assert callable(cli.flower_supernode)
    assert callable(cli.flwr_clientapp)
    assert start_client_internal.time is time
    assert "time.sleep(3)" in inspect.getsource(start_client_internal.start_client_internal)


def test_pauses_are_short_until_there_is_nothing_to_wait_for(monkeypatch):
    slept = list[float]()
    monkeypatch.setattr(time, "sleep", slept.append)
    pauses = supernode.Pauses()
    for _ in range(60):
        pauses.sleep(3)
    assert slept[0] == supernode.PAUSE_SECONDS
    assert slept == sorted(slept)
    # for the first minute no pause is long beside the wait, and at last it is the engine's own
    waits = list(accumulate(slept, initial=0))
    assert all(pause <= 0.25 + 0.05 * wait for pause, wait in zip(slept, waits, strict=False))
    assert waits[slept.index(3)] < 60
    assert slept[-1] == 3
    # a message came, and its reply is waited for
    pauses.sleep(0.5)
    pauses.sleep(3)
    pauses.sleep(0.1)
    first, then, reply = slept[-3:]
    assert first == supernode.PAUSE_SECONDS
    assert first < then < 0.3
    assert reply == 0.1
    assert pauses.monotonic is time.monotonic


@pytest.mark.parametrize("answer", [hand_over.TAKEN, b"", None])
def test_what_nobody_takes_is_run_as_before(answer, tmp_path):
    command = tmp_path / "command"
    command.write_text('#!/bin/sh\necho "by itself: $@"\n')
    command.chmod(0o700)
    # longer than a socket's name may be
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    environment = os.environ | {hand_over.PLACE: str(folder), hand_over.COMMAND: str(command)}
    with socket.socket(socket.AF_UNIX) as listener:
        handle = os.open(folder, os.O_PATH)
        listener.bind(f"/proc/self/fd/{handle}/{hand_over.NAME}")
        os.close(handle)
        if answer is not None:
            listener.listen()
        words = ["--token", "a b", '"'] if answer else ["--help"]
        line = [*STAND_IN, *words]
        with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True) as process:
            if answer is not None:
                with listener.accept()[0] as connection:
                    said = bytearray()
                    while part := connection.recv(100):
                        said += part
                    assert json.loads(said) == words
                    connection.sendall(answer)
            told, _ = process.communicate(timeout=60)
    assert told == ("" if answer else "by itself: --help\n")
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_message_gets_a_fork_and_nothing_outlives_the_launcher(number, tmp_path):
    log = tmp_path / "log"
    home = tmp_path / ("long" * 25)
    home.mkdir()
    # a server that is not there is looked for again and again
    line = [sys.executable, "-P", "-m", "ufgraphfr.deploy.flower.supernode"]
    line += ["--insecure", "--superlink", "127.0.0.1:9", "--port", "18961"]
    environment = os.environ | {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        # a test must not find the engine's command by the tester's path
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.defpath)),
    }
    with log.open("w") as file:
        launcher = subprocess.Popen(line, env=environment, stdout=file, stderr=file)
    started = Process.of(launcher.pid)
    assert started is not None
    try:
        given = {hand_over.PLACE: str(home / "warm"), hand_over.COMMAND: "/bin/false"}
        until = time.monotonic() + 120
        while subprocess.run([*STAND_IN, "--help"], env=os.environ | given, check=False).returncode:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        while "usage: flwr-clientapp" not in log.read_text():
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        family = started.descendants()
        assert family
        os.kill(launcher.pid, number)
        launcher.wait(30)
        while any(each.alive for each in family):
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        end([started])
