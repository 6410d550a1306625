"""What `deploy up` looks at before it starts anything, and how it reads the engine's answers."""

import socket
import subprocess

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.operations import launcher, processes
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.server.liveness import living
from ufgraphfr.deploy.server.metrics import RunMetrics, read_metrics
from ufgraphfr.deploy.server.settings import ServerSettings


def test_a_run_does_not_begin_before_all_nodes_sent_their_keys(federation):
    node = federation.folder.node("node-2")
    node.public_key.write_bytes(node.key.read_bytes())
    with pytest.raises(InputError, match=r"supernode\.pub holds no public key of a node"):
        launcher.register(federation.folder)


NAMES = ["one", "two"]


@pytest.fixture
def taken():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("key", ["port", "node_port", "metrics_port"])
def test_a_taken_port_is_named(key, taken):
    ports = {"port": free(), "node_port": 20000 + free() % 20000} | {key: taken}
    with pytest.raises(InputError, match=rf"port {taken} \({key}.* is taken"):
        launcher.check_ports(ServerSettings(**ports), NAMES, ())


def test_the_port_of_a_later_node_counts_too(taken):
    settings = ServerSettings(port=free(), node_port=taken - 1)
    with pytest.raises(InputError, match=rf"port {taken} \(node_port, of two\)"):
        launcher.check_ports(settings, NAMES, ("supernode-one",))


def test_two_parts_cannot_share_a_port():
    port = free()
    with pytest.raises(InputError, match=rf"port {port} \(metrics_port\)"):
        launcher.check_ports(ServerSettings(port=port, metrics_port=port), [], ())


def test_ports_of_what_runs_already_are_not_tried(taken):
    running = ("superlink", "supernode-one")
    launcher.check_ports(ServerSettings(port=taken, node_port=taken), NAMES[:1], running)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ('{"success": false, "error-message": "no\\nsuch key"}', "no such key"),
        ('{"other": 1}', "other"),
        ("{ not JSON", "not JSON"),
        ("", "flwr run failed"),
    ],
)
def test_an_answer_that_is_an_error_is_read_as_one(output, said, tmp_path, monkeypatch):
    def answered(command, **_):
        return subprocess.CompletedProcess(command, 0, output, "")

    folder = Deployment(tmp_path)
    monkeypatch.setattr(folder.server, "read_settings", ServerSettings)
    monkeypatch.setattr(subprocess, "run", answered)
    with pytest.raises(InputError, match=said):
        launcher._flwr(folder, "run-id", "run", "app")


def test_who_watches_a_new_attempt_does_not_read_the_end_of_the_last(federation, monkeypatch):
    path = federation.folder.server.metrics
    RunMetrics(path, 4).update(state="1 of 2 nodes came", rounds=2)

    def refused(*_):
        raise InputError("is the server up?")

    monkeypatch.setattr(launcher, "_flwr", refused)
    with pytest.raises(InputError, match="is the server up"):
        launcher.submit(federation.folder)
    assert read_metrics(path)["state"] == "1 of 2 nodes came"
    monkeypatch.setattr(launcher, "_flwr", lambda *_: 1)
    launcher.submit(federation.folder)
    assert read_metrics(path)["state"] == "starting"
    assert read_metrics(path)["rounds_planned"] == 4


def test_a_finished_run_starts_no_process(federation):
    folder = federation.folder
    folder.server.run.mkdir()
    (folder.server.run / "result.json").write_text("{}")
    with pytest.raises(InputError, match="is finished: go on from its release with --continue"):
        launcher.up(folder)
    assert not folder.processes.exists()
    assert not folder.logs.exists()


def test_a_run_that_was_cut_off_while_it_published_goes_on(federation, monkeypatch):
    folder = federation.folder
    folder.server.run.mkdir()
    (folder.server.run / "result.json").write_text("{}")
    metrics, begun = RunMetrics(folder.server.metrics, 4), list[bool]()
    monkeypatch.setattr(launcher, "_begin", lambda _: begun.append(True))
    metrics.update(state="publishing")
    launcher.submit(folder)
    assert begun == [True]
    metrics.update(state="finished")
    with pytest.raises(InputError, match="is finished"):
        launcher.submit(folder)


def test_up_during_a_run_starts_what_is_missing_and_leaves_the_run_alone(federation, monkeypatch):
    started, begun = list[str](), list[bool]()

    def start(_command, _environment, log):
        started.append(log.stem)
        return processes.Process(1, 0)

    monkeypatch.setattr(processes, "start", start)
    for name in ("_wait", "check_ports", "register"):
        monkeypatch.setattr(launcher, name, lambda *_: None)
    monkeypatch.setattr(launcher, "submit", lambda *_: begun.append(True))
    monkeypatch.setattr(processes, "save", lambda *_: None)
    with living(federation.folder.server):
        launcher.up(federation.folder)
    assert "agent-node-1" in started
    assert begun == []
    launcher.up(federation.folder)
    assert begun == [True]
