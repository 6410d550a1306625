"""`ufgraphfr deploy` and `ufgraphfr agent`, without starting an engine."""

import hashlib
import json
import os
import re
import subprocess
import time

import pytest
from toy_deployment import TOY

from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.liveness import living
from ufgraphfr.deploy.server.metrics import RunMetrics


@pytest.fixture
def made(cli, tmp_path):
    (tmp_path / "toy.toml").write_text(TOY)
    folder = tmp_path / "d"
    ended = cli(
        *("deploy", "init", folder, "--try-out", "--nodes", 2),
        *("--experiment", tmp_path / "toy.toml"),
    )
    assert ended.code == 0, ended.err
    assert "read its README.md" in ended.out
    return folder


def test_the_time_between_two_runs_is_checked(cli, tmp_path):
    (tmp_path / "toy.toml").write_text(TOY)
    words = ("deploy", "init", tmp_path / "d", "--try-out", "--experiment", tmp_path / "toy.toml")
    ended = cli(*words, "--every", "weekly")
    assert ended.code == 2
    assert "every = 'weekly'" in ended.err
    assert not (tmp_path / "d").exists()
    assert cli(*words, "--every", "12h", "--public-port", "8444").code == 0
    unit = tmp_path / "d" / "systemd" / "ufgraphfr-continue.timer"
    assert "OnCalendar=*:07\n" in unit.read_text()
    service = unit.with_suffix(".service").read_text()
    (condition,) = re.findall("ExecCondition=/bin/sh -c '(.*)'", service)
    began = tmp_path / "d" / "server" / "participants.json"

    def due(hours):
        if hours is not None:
            began.touch()
            os.utime(began, (time.time() - 3600 * hours,) * 2)
        return subprocess.run(["/bin/sh", "-c", condition], check=False).returncode == 0

    assert [due(hours) for hours in (None, 11.9, 12.1, 200)] == [True, False, True, True]
    # where the proxy listens, and where SuperNodes call
    assert "listen 8444 ssl" in (tmp_path / "d" / "nginx" / "ufgraphfr.conf").read_text()
    unit = tmp_path / "d" / "systemd" / "ufgraphfr-supernode-node-1.service"
    assert "localhost:8444" in unit.read_text()


@pytest.fixture
def agent(cli, made):
    shard = made / "nodes" / "node-1" / "shard"
    return lambda *words: cli("agent", "--shard", shard, *words)


def test_an_agent_starts_once_its_operator_typed_the_digest(agent, made, monkeypatch):
    started = []
    monkeypatch.setattr("ufgraphfr.cli.agent.serve", lambda _, path: started.append(path))
    agreement = made / "nodes" / "node-1" / "shard" / "agreement.toml"
    digest = hashlib.sha256(agreement.read_bytes()).hexdigest()
    assert "is not signed off" in agent().err
    assert "not yet" in agent("status").out
    wrong = agent("--agree", digest[:-1])
    assert wrong.code == 2
    assert "nothing was signed" in wrong.err
    assert started == []
    agent("--agree", digest)
    agent()
    assert len(started) == 2
    # another agreement in its place is another signature
    agreement.write_bytes(agreement.read_bytes() + b"\n")
    assert "is not signed off" in agent().err
    assert len(started) == 2


def test_a_person_at_a_terminal_is_asked(agent, monkeypatch):
    monkeypatch.setattr("ufgraphfr.cli.agent.serve", lambda *_: None)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda _: "0" * 64)
    assert "is not the digest of" in agent().err


def test_a_nodes_key_is_made_there_and_what_came_with_the_folder_is_not_trusted(agent, made):
    node = made / "nodes" / "node-1"
    digest = hashlib.sha256((node / "shard" / "agreement.toml").read_bytes()).hexdigest()
    (node / "shard" / "agreed").write_text(digest)
    assert agent("init").code == 2
    assert not (node / "supernode.key").exists()
    ended = agent("init", "--agree", digest)
    assert ended.code == 0
    assert "supernode.pub" in ended.out
    assert "SHA256:" in ended.out
    assert (node / "supernode.pub").read_text().startswith("ecdsa-")
    again = agent("init", "--agree", digest)
    assert again.code == 2
    assert "is there already" in again.err


def test_import_status_and_forget(agent, made):
    samples = made / "nodes" / "node-1" / "import"
    users = samples / "users.parquet"
    ended = agent("import", samples / "interactions.parquet", "--users", users)
    assert "15 new users, 120 new interactions" in ended.out
    shown = agent("status").out
    assert "node-1, client ids 0 to 14" in shown
    assert "users      15\n" in shown
    assert "fedmf, at most 4 rounds" in shown
    assert "the agent does not run" in shown
    ended = agent("forget", "u3")
    assert ended.code == 0 or "no such user" in ended.err


def test_forget_says_what_cannot_be_taken_back(agent, made):
    from ufgraphfr.deploy.agent.store import ShardStore

    samples = made / "nodes" / "node-1" / "import"
    agent("import", samples / "interactions.parquet", "--users", samples / "users.parquet")
    name = ShardStore(made / "nodes" / "node-1" / "shard" / "shard.sqlite").names()[0]
    ended = agent("forget", name)
    assert "deleted: 8 interactions" in ended.out
    assert "bounded by: no privacy guarantee" in ended.out
    assert agent("forget", name).code == 2


def test_forget_where_nobody_is(agent):
    ended = agent("forget", "x")
    assert ended.code == 2
    assert "holds no users" in ended.err


def test_status_counts_answers(agent, made):
    audit = made / "nodes" / "node-1" / "shard" / "audit.jsonl"
    audit.write_text("".join(json.dumps({"code": code}) + "\n" for code in ("ok", "ok", "refused")))
    shown = agent("status").out
    assert "2 requests ok" in shown
    assert "1 requests refused" in shown


def test_status_says_why_the_last_request_failed(agent, made):
    audit = made / "nodes" / "node-1" / "shard" / "audit.jsonl"
    lines = ({"code": "ok", "reason": ""}, {"code": "failed", "reason": "too few items"})
    audit.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "not answered: too few items" in agent("status").out


def test_no_shard(cli, tmp_path):
    ended = cli("agent", "--shard", tmp_path, "status")
    assert ended.code == 2
    assert "is no shard" in ended.err


def test_up_says_where_it_starts_things(cli, made):
    ended = cli("deploy", "up", made)
    assert ended.code == 2
    assert "say --loopback" in ended.err


def test_status_before_anything_ran(cli, made):
    assert "no run has begun" in cli("deploy", "status", made).out
    assert "stopped 0 processes" in cli("deploy", "down", made).out


def test_status_of_a_run(cli, made):
    metrics = RunMetrics(made / "server" / "metrics.json", 4)
    metrics.update(nodes=2, users=30, state="running")
    metrics.lost("node-1")
    with living(ServerFolder(made / "server")):
        shown = cli("deploy", "status", made).out
    assert "running: round 0/4, 2 nodes, 30 users" in shown
    assert "1 lost" in shown
    assert "epsilon" not in shown
    metrics.update(epsilon_spent=1.5, epsilon_budget=8.0)
    assert "epsilon 1.50 of 8.00" in cli("deploy", "status", made).out


def test_a_run_whose_process_died_is_not_said_to_run(cli, made):
    metrics = RunMetrics(made / "server" / "metrics.json", 4)
    metrics.update(rounds=2, state="running")
    ended = cli("deploy", "watch", made)
    assert ended.code == 3
    assert "the run's process died in state 'running' after round 2" in ended.out
    assert "ufgraphfr deploy start" in ended.out
    assert "died" in cli("deploy", "status", made).out
    # the engine takes its time to begin, and not for ever
    metrics.update(state="starting")
    assert "starting: round 2/4" in cli("deploy", "status", made).out
    settings = made / "server" / "server.toml"
    settings.write_text(settings.read_text().replace("startup_timeout = 180.0", ""))
    with settings.open("a") as file:
        file.write("startup_timeout = 0.001\n")
    ended = cli("deploy", "watch", made)
    assert ended.code == 3
    assert "has not begun the run for 0.001 s" in ended.out


def test_a_pause_is_for_a_run_that_is_under_way(cli, made):
    ended = cli("deploy", "pause", made)
    assert ended.code == 2
    assert "no run is under way" in ended.err
    assert not (made / "server" / "pause").exists()


def test_a_second_start_during_a_run_is_refused(made):
    from ufgraphfr.core.errors import InputError
    from ufgraphfr.deploy.operations.folder import Deployment
    from ufgraphfr.deploy.operations.launcher import submit

    metrics = RunMetrics(made / "server" / "metrics.json", 4)
    metrics.update(state="running", rounds=2)
    before = (made / "server" / "metrics.json").read_bytes()
    with (
        living(ServerFolder(made / "server")),
        pytest.raises(InputError, match="a run is under way"),
    ):
        submit(Deployment(made))
    assert (made / "server" / "metrics.json").read_bytes() == before


def test_watch_tells_why_a_run_stopped(cli, made):
    RunMetrics(made / "server" / "metrics.json", 4).update(state="round 2: no quorum")
    ended = cli("deploy", "watch", made)
    assert ended.code == 3
    assert "stopped: round 2: no quorum" in ended.out


def test_a_folder_that_is_no_deployment(cli, tmp_path):
    for command in ("status", "watch"):
        ended = cli("deploy", command, tmp_path)
        assert ended.code == 2
        assert "name a folder that deploy init wrote" in ended.err


def test_metrics_leave_with_noise_or_without_and_the_operator_reads_which(cli, tmp_path):
    privacy = "[privacy]\nkind = 'central-jdp'\nepsilon = 8\ndelta = 1e-3\nclip = 1.0\n"
    (tmp_path / "toy.toml").write_text(f"{TOY}{privacy}trust = 'shard'\nshards = 2\n")
    init = ("--try-out", "--experiment", tmp_path / "toy.toml", "--noised-metrics")
    ended = cli("deploy", "init", tmp_path / "d", *init, "--consented-metrics")
    assert (ended.code, "exclude each other" in ended.err) == (2, True)
    assert cli("deploy", "init", tmp_path / "d", *init).code == 0
    shown = cli("agent", "--shard", tmp_path / "d" / "nodes" / "node-1" / "shard", "status").out
    assert "noised sums that are paid for" in " ".join(shown.split())


def test_init_needs_a_catalogue_or_a_try_out(cli, tmp_path):
    (tmp_path / "toy.toml").write_text(TOY)
    ended = cli("deploy", "init", tmp_path / "d", "--experiment", tmp_path / "toy.toml")
    assert ended.code == 2
    assert "--try-out" in ended.err
