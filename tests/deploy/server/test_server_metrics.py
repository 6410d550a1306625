"""What is counted is what Prometheus reads, and it survives a restart."""

import json
import urllib.error
import urllib.request
from contextlib import closing

import pytest
from small_federation import LocalEngine

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.server.metrics import RunMetrics, prometheus, read_metrics
from ufgraphfr.deploy.server.prometheus import Exporter
from ufgraphfr.deploy.server.run import run
from ufgraphfr.deploy.wire.message import unpack


def test_counters_go_on_after_a_restart_and_gauges_begin_anew(tmp_path):
    path = tmp_path / "metrics.json"
    metrics = RunMetrics(path, rounds=7)
    metrics.update(nodes=2, users=30, state="running")
    metrics.answered("node-1", 5, 100, 10)
    metrics.lost("node-2")
    metrics.rejected("node-2", "why")
    again = RunMetrics(path, rounds=7)
    assert again.values["bytes_down"] == 100
    assert again.values["replies_lost"] == again.values["replies_rejected"] == 1
    assert again.values["nodes"] == 0


def test_metrics_are_served_and_nothing_else(tmp_path):
    path = tmp_path / "metrics.json"
    RunMetrics(path, rounds=7).update(nodes=2, users=30, state="running")
    with closing(Exporter(path, 0)) as exporter:
        base = f"http://127.0.0.1:{exporter.port}"
        with urllib.request.urlopen(f"{base}/metrics", timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text = answer.read().decode()
        with urllib.request.urlopen(f"{base}/health", timeout=5) as answer:
            health = json.load(answer)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{base}/metrics.json", timeout=5)
    assert "# TYPE ufgraphfr_users gauge\nufgraphfr_users 30\n" in text
    assert "ufgraphfr_replies_lost_total 0\n" in text
    assert 0 <= health.pop("seconds") < 60
    facts = {"status": "ok", "state": "running", "rounds": 0, "rounds_planned": 7, "nodes": 2}
    assert health == facts


def test_every_line_is_in_prometheus_text_format(tmp_path):
    RunMetrics(tmp_path / "t", rounds=1)
    for line in prometheus(read_metrics(tmp_path / "t")).splitlines():
        words = line.split()
        assert line.startswith(("# HELP ", "# TYPE ")) or (len(words) == 2 and float(words[1]) >= 0)


def test_before_the_first_run_there_is_nothing(tmp_path):
    assert prometheus(read_metrics(tmp_path / "nothing")) == "\n"


def test_a_run_is_conducted_from_its_folder(federation):
    engine = LocalEngine(federation.agents())
    run(federation.folder.server, engine)
    values = read_metrics(federation.folder.server.metrics)
    assert values["state"] == "finished"
    assert (values["rounds"], values["nodes"], values["users"]) == (4, 2, 30)
    assert values["users_answered"] == 30 + 3 * 20
    assert values["bytes_down"] > 0
    assert values["ndcg10"] > 0
    asked = len(engine.asked)
    # finished: nobody is asked again, but to have the model
    run(federation.folder.server, engine)
    later = [unpack(chunks).kind for _, chunks in engine.asked[asked:]]
    assert later == ["publish"] * 2


def test_why_a_run_stopped_is_told(federation):
    settings = federation.folder.server.settings
    settings.write_text(
        settings.read_text().replace("startup_timeout = 180.0", "startup_timeout = 0.1")
    )
    with pytest.raises(InputError):
        run(federation.folder.server, LocalEngine({}))
    assert "0 of 2 nodes came" in read_metrics(federation.folder.server.metrics)["state"]


def test_whoever_reads_finds_a_state_from_the_first_write_on(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        "ufgraphfr.deploy.server.metrics.write_atomically",
        lambda path, data: path.suffix == ".json" and written.append(json.loads(data)),
    )
    RunMetrics(tmp_path / "metrics.json", 5)
    assert written
    assert all(each["state"] == "waiting for nodes" for each in written)
