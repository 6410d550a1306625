"""The whole federation over Flower on this machine: TLS, keys, proxy, kills, and its end."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from free_ports import free_ports
from small_federation import NODES, Federation, federate, toy_values

from ufgraphfr.cli.deploy import WAITING
from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.models import Models
from ufgraphfr.deploy.operations import processes
from ufgraphfr.deploy.operations.certificates import write_node_key
from ufgraphfr.deploy.operations.commands import Commands
from ufgraphfr.deploy.operations.launcher import down, register, submit, up
from ufgraphfr.deploy.server.liveness import (
    PAUSED,
    STOPPED,
    UNDER_WAY,
    ask_pause,
    ask_stop,
    dead,
    lives,
)
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.experiment import build, execute

pytestmark = pytest.mark.slow
FEDMF = {"kind": "fedmf", "dim": 4, "lr": 0.05}
SECONDS = 900.0
"""More than a small run takes, however busy the machine is."""


@pytest.fixture
def made(tmp_path):
    """A deployment that is taken down whatever happens."""
    found = []

    def make(values, **settings) -> Federation:
        server, node, _, metrics, public = free_ports(5)
        ports = {"port": server, "node_port": node, "metrics_port": metrics, "public_port": public}
        patient = {"round_timeout": SECONDS, "startup_timeout": SECONDS}
        # a name that units, proxy rules and command lines have to quote
        found.append(federate(tmp_path / "our 100 %", values, **(ports | patient | settings)))
        return found[-1]

    yield make
    for federation in found:
        down(federation.folder)


def simulated(values, out):
    for _ in execute(build(values), out):
        pass
    return json.loads((out / "result.json").read_text())["test"]


def result(federation):
    return json.loads((federation.folder.server.run / "result.json").read_text())["test"]


def wait_for(federation, done):
    until = time.monotonic() + SECONDS
    while not done(values := read_metrics(federation.folder.server.metrics)):
        assert time.monotonic() < until, (values, logs(federation))
        assert values.get("state", "running") in (*WAITING, "finished"), values["state"]
        time.sleep(0.2)


def until(done, seconds=SECONDS):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.2)


def finished(values):
    return values.get("state") == "finished"


def after_round(number):
    return lambda values: values.get("rounds", 0) >= number or finished(values)


def logs(federation):
    return {path.name: path.read_text()[-2000:] for path in federation.folder.logs.iterdir()}


def compared(found, expected):
    for ranking, metrics in found.items():
        for name, value in metrics.items():
            assert value == pytest.approx(expected[ranking][name], abs=1e-9)


def status_of(url, authority):
    request = urllib.request.Request(url, data=b"", method="POST")
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_federation_gives_what_the_simulation_gives_and_ends_cleanly(made, tmp_path):
    values = toy_values(algorithm=FEDMF)
    federation = made(values)
    settings = federation.folder.server.read_settings()
    up(federation.folder)
    wait_for(federation, after_round(1))
    metrics = urllib.request.urlopen(
        f"http://127.0.0.1:{settings.metrics_port}/metrics", timeout=10
    )
    with metrics:
        assert b"ufgraphfr_users 30" in metrics.read()
    wait_for(federation, finished)
    compared(result(federation), simulated(values, tmp_path / "s"))
    # the model is at the nodes, and the next run goes on from it
    assert [Models(federation.shard(node).models).current for node in NODES] == [1, 1]
    submit(federation.folder, again=True)
    wait_for(federation, lambda values: finished(values) and values["release"] == 2)
    assert [Models(federation.shard(node).models).current for node in NODES] == [2, 2]
    started = list(processes.read(federation.folder.processes).values())
    everyone = [*started, *(child for each in started for child in each.descendants())]
    assert len(everyone) > len(started)
    assert down(federation.folder)[0] == 5
    assert not any(process.alive for process in everyone)
    metrics = read_metrics(federation.folder.server.metrics)
    assert (metrics["replies_lost"], metrics["replies_rejected"]) == (0, 0)


def test_a_node_with_an_unknown_key_is_refused(made, tmp_path):
    federation = made(toy_values())
    up(federation.folder)
    settings = federation.folder.server.read_settings()
    commands = Commands(federation.folder, settings)
    node = federation.folder.node("stranger")
    write_node_key(node.key, node.public_key)
    node.ca.write_bytes(federation.folder.node(NODES[0]).ca.read_bytes())
    address, log = f"localhost:{settings.port}", tmp_path / "stranger.log"
    # there is no proxy here: its port is free
    command = commands.supernode("stranger", address, settings.public_port)
    stranger = processes.start(command, commands.node_environment("stranger"), log)
    until = time.monotonic() + SECONDS
    while stranger.alive and time.monotonic() < until:
        time.sleep(0.2)
    ended = not stranger.alive
    processes.end([stranger])
    assert ended, log.read_text()
    assert "SuperNode ID" not in log.read_text()


def test_what_did_not_start_is_told_in_a_line_and_leaves_nothing_behind(made):
    federation = made(toy_values())
    folder, began = federation.folder, time.monotonic()
    with pytest.raises(InputError, match=r"flwr supernode failed .*: is the server .* up\?"):
        register(folder)
    assert time.monotonic() - began < 60
    (folder.server.tls / "server.crt").write_text("no certificate")
    with pytest.raises(InputError, match=r"superlink did not start: see .*superlink\.log"):
        up(folder)
    assert processes.read(folder.processes) == {}
    named = str(folder.path)
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert [line for line in left.stdout.splitlines() if named in line] == []


def test_a_supernode_that_dies_is_done_without_and_comes_back_with_its_key(made):
    values = toy_values(algorithm=FEDMF, federation={"rounds": 8}, evaluation={"every": 8})
    federation = made(values, round_timeout=30.0, quorum=0.5)
    up(federation.folder)
    wait_for(federation, after_round(1))
    kept = processes.read(federation.folder.processes)[f"supernode-{NODES[1]}"]
    # not its supervisor, which starts it again until the server takes its key
    for process in kept.descendants():
        process.signal(signal.SIGKILL)
    wait_for(federation, finished)
    assert NODES[1] in read_metrics(federation.folder.server.metrics)["missed_by_node"]
    lines = (federation.folder.server.run / "metrics.jsonl").read_text().splitlines()
    clients = [json.loads(line)["clients"] for line in lines]
    assert min(clients) < 20
    assert clients[-1] == 20


def test_a_server_that_is_killed_goes_on_to_the_same_result(made, tmp_path):
    values = toy_values(algorithm=FEDMF)
    federation = made(values)
    up(federation.folder)
    wait_for(federation, after_round(2))
    server = processes.read(federation.folder.processes)["superlink"]
    for process in (server, *server.descendants()):
        process.signal(signal.SIGKILL)
    down(federation.folder)
    assert not (federation.folder.server.run / "result.json").exists()
    up(federation.folder)
    wait_for(federation, finished)
    compared(result(federation), simulated(values, tmp_path / "s"))


def test_what_an_operator_meets_is_told_and_costs_the_run_nothing(made, tmp_path):
    values = toy_values(algorithm=FEDMF, federation={"rounds": 8}, evaluation={"every": 8})
    federation = made(values)
    folder, server = federation.folder, federation.folder.server
    up(folder)
    wait_for(federation, after_round(1))
    # a second start, and up again, during a run
    with pytest.raises(InputError, match="a run is under way"):
        submit(folder)
    started = processes.read(folder.processes)
    up(folder)
    assert processes.read(folder.processes) == started
    # the run's own process is killed
    (app,) = (
        each
        for each in started["superlink"].descendants()
        if b"flwr-serverapp" in Path(f"/proc/{each.pid}/cmdline").read_bytes()
    )
    app.signal(signal.SIGKILL)
    until(lambda: dead(server, SECONDS), 10)
    assert "the run's process died in state 'running'" in dead(server, SECONDS)[0]
    kept = read_metrics(server.metrics)["rounds"]
    submit(folder)
    wait_for(federation, after_round(kept + 1))
    # a pause
    ask_pause(server)
    until(lambda: not lives(server))
    assert read_metrics(server.metrics)["state"] == PAUSED
    kept = read_metrics(server.metrics)["rounds"]
    # a stop, while a round waits for a node that does not answer
    agent = processes.read(folder.processes)[f"agent-{NODES[0]}"]
    of_node = (agent, *agent.descendants())
    for process in of_node:
        process.signal(signal.SIGSTOP)
    submit(folder)
    until(lambda: read_metrics(server.metrics)["state"] in UNDER_WAY)
    ask_stop(server)
    until(lambda: not lives(server), 10)
    values_now = read_metrics(server.metrics)
    assert (values_now["state"], values_now["rounds"]) == (STOPPED, kept)
    for process in of_node:
        process.signal(signal.SIGCONT)
    # the users' database is gone while the agent runs, and comes back
    shard = federation.shard(NODES[0])
    shard.database.rename(tmp_path / "away")
    submit(folder)
    until(lambda: read_metrics(server.metrics)["state"] not in WAITING)
    assert "1 of 2 nodes gave a usable reply" in read_metrics(server.metrics)["state"]
    said = json.loads(shard.audit.read_text().splitlines()[-1])["reason"]
    assert "was removed or replaced while the agent ran" in said
    (tmp_path / "away").rename(shard.database)
    submit(folder)
    wait_for(federation, finished)
    compared(result(federation), simulated(values, tmp_path / "s"))


def test_the_proxy_lets_nodes_in_and_nobody_else(made, tmp_path):
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.fail("nginx is not installed: apt-get install nginx-light")
    federation = made(toy_values(federation={"rounds": 1}, evaluation={"every": 1}))
    folder, public = federation.folder, federation.folder.server.read_settings().public_port
    rules = (folder.path / "nginx" / "ufgraphfr.conf").read_text()
    rules = rules.replace(f"listen {public} ssl", f"listen 127.0.0.1:{public} ssl")
    # pytest's folders are closed to the user that nginx takes when root starts it
    user = "user root; " if os.getuid() == 0 else ""
    around = (
        f"{user}daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/body; "
        f"proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/f; "
        f"uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n"
    )
    config = tmp_path / "nginx.conf"
    config.write_text(f"{around}{rules}}}\n")
    command = [nginx, "-c", str(config), "-p", str(tmp_path), "-e", f"{tmp_path}/error.log"]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    proxy = processes.start(command, {}, tmp_path / "nginx.log")
    try:
        up(folder, address=f"localhost:{public}")
        authority = folder.server.tls / "ca.crt"
        base = f"https://localhost:{public}"
        for closed in ("/v1/control/start-run", "/v1/runtime/get-nodes", "/docs", "/", "/health"):
            assert status_of(base + closed, authority) == 404, closed
        assert status_of(f"{base}/v1/fleet/../control/start-run", authority) in (400, 404)
        # the door itself is open, but asks for a node's key
        assert status_of(f"{base}/v1/fleet/pull-messages", authority) in (400, 401, 403, 415, 422)
        wait_for(federation, finished)
    finally:
        processes.end([proxy])


def test_the_engines_client_process_imports_no_model(made):
    federation = made(toy_values())
    code = "import sys, ufgraphfr.deploy.flower.client_app; print('torch' in sys.modules)"
    commands = Commands(federation.folder, federation.folder.server.read_settings())
    python = str(Path(commands.agent(NODES[0])[0]).parent / "python")
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
