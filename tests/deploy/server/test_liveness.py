"""A run is paused after a round that is kept or stopped before, and its lock says if it lives."""

import fcntl
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from small_federation import LocalEngine

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.server.liveness import (
    ask_pause,
    ask_stop,
    heed_stop,
    lives,
    living,
    under_way,
)
from ufgraphfr.deploy.server.metrics import RunMetrics, read_metrics
from ufgraphfr.deploy.server.run import run


def test_a_pause_ends_the_run_after_a_round_that_is_kept(federation):
    server, asked = federation.folder.server, []

    def wished(_node, number, chunks):
        if number == 2 and not asked.count(2):
            ask_pause(server)
        asked.append(number)
        return [chunks]

    run(server, LocalEngine(federation.agents(), wished))
    values = read_metrics(server.metrics)
    assert (values["state"], values["rounds"]) == ("paused", 2)
    assert not lives(server)
    before = asked.count(1)
    run(server, LocalEngine(federation.agents(), wished))
    assert read_metrics(server.metrics)["state"] == "finished"
    # nothing of a finished round is asked again
    assert asked.count(1) == before
    assert json.loads((server.run / "result.json").read_text())["test"]


def test_a_stop_ends_the_run_without_the_round_it_waits_for(federation):
    server, asked = federation.folder.server, []
    with pytest.raises(InputError, match=r"no run is under way.*nothing to stop"):
        ask_stop(server)

    def wished(_node, number, chunks):
        if number == 2 and not asked.count(2):
            ask_stop(server)
        asked.append(number)
        heed_stop(server)
        return [chunks]

    run(server, LocalEngine(federation.agents(), wished))
    values = read_metrics(server.metrics)
    assert (values["state"], values["rounds"]) == ("stopped", 1)
    assert not lives(server)
    before = asked.count(1), asked.count(2)
    run(server, LocalEngine(federation.agents(), wished))
    assert read_metrics(server.metrics)["state"] == "finished"
    assert asked.count(1) == before[0]
    assert asked.count(2) > before[1]


@pytest.mark.slow
def test_the_system_lets_go_of_a_killed_process_lock(federation):
    server = federation.folder.server
    script = (
        "import os, pathlib\n"
        "from ufgraphfr.deploy.server.folder import ServerFolder\n"
        "from ufgraphfr.deploy.server.liveness import living\n"
        f"with living(ServerFolder(pathlib.Path({str(server.path)!r}))):\n"
        "    print('lives', flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "lives\n"
        assert lives(server)
        with pytest.raises(InputError, match="another process works at the run"), living(server):
            pass
        process.kill()
    assert not lives(server)


def test_who_looks_for_a_moment_does_not_stop_a_run(federation):
    server = federation.folder.server
    server.alive.touch()
    with server.alive.open() as looking, ThreadPoolExecutor() as pool:
        fcntl.flock(looking, fcntl.LOCK_SH)
        pool.submit(lambda: (time.sleep(0.3), fcntl.flock(looking, fcntl.LOCK_UN)))
        with living(server):
            assert lives(server)


@pytest.mark.parametrize(("state", "seconds"), [("finished", 0.4), ("running", 0)])
def test_a_run_that_has_ended_is_waited_for_until_its_process_has(federation, state, seconds):
    server = federation.folder.server
    RunMetrics(server.metrics, 2).update(state=state)
    with ThreadPoolExecutor() as pool, living(server):
        found = pool.submit(under_way, server)
        time.sleep(seconds)
        assert not found.done() or state == "running"
        if state == "running":
            assert found.result()
    assert found.result() == (state == "running")
