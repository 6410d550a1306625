"""Processes are known by number and start, and ended with all they started."""

import os
import signal
import sys
import time
from dataclasses import replace

from ufgraphfr.deploy.operations import processes
from ufgraphfr.deploy.operations.processes import Process

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(60)",
    *SLEEP,
]


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def started(command, tmp_path):
    return processes.start(command, dict(os.environ), tmp_path / "log")


def test_output_goes_to_the_log(tmp_path):
    process = started([sys.executable, "-c", "print('hello')"], tmp_path)
    until(lambda: not process.alive)
    assert (tmp_path / "log").read_text() == "hello\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_long_log_is_turned_over_when_its_process_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 5)
    for number in range(4):
        command = [sys.executable, "-c", f"print('{number}')"]
        process = processes.start(command, dict(os.environ), tmp_path / "name.log")
        until(lambda each=process: not each.alive)
    # three lines of two bytes are more than five
    assert (tmp_path / "name.log").read_text() == "3\n"
    assert (tmp_path / "name.1.log").read_text() == "0\n1\n2\n"


def test_children_are_ended_too(tmp_path):
    process = started(PARENT, tmp_path)
    until(process.descendants)
    everyone = [process, *process.descendants()]
    assert processes.end([process]) == 0
    assert not any(each.alive for each in everyone)


def test_children_whose_parent_was_killed_are_ended_too(tmp_path):
    process = started(PARENT, tmp_path)
    until(process.descendants)
    (child,) = process.descendants()
    process.signal(signal.SIGKILL)
    until(lambda: not process.alive)
    assert child.alive
    processes.end([process])
    assert not child.alive


def test_who_does_not_listen_is_killed(tmp_path):
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(60)"
    )
    process = started([sys.executable, "-c", code], tmp_path)
    until(lambda: "deaf" in (tmp_path / "log").read_text())
    assert processes.end([process], seconds=0.3) == 1
    until(lambda: not process.alive)


def test_a_number_that_another_process_has_now_is_left_alone(tmp_path):
    process = started(SLEEP, tmp_path)
    other = replace(process, started=process.started - 1)
    assert not other.alive
    assert other.descendants() == []
    processes.end([other])
    assert process.alive
    processes.end([process])


def test_what_was_started_is_remembered(tmp_path):
    path = tmp_path / "processes.json"
    assert processes.read(path) == {}
    here = Process.of(os.getpid())
    assert here is not None
    assert here.alive
    processes.save(path, {"here": here})
    assert processes.read(path) == {"here": here}
