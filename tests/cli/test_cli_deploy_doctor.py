"""`ufgraphfr deploy doctor` and `ufgraphfr agent doctor`: what is right, and what to do."""

import datetime
import os
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path

import pytest
from toy_deployment import TOY

from ufgraphfr.deploy.operations import certificates, checks
from ufgraphfr.deploy.operations.certificates import write_authority
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.launcher import set_up_node
from ufgraphfr.deploy.server.metrics import RunMetrics


@pytest.fixture
def made(cli, tmp_path):
    (tmp_path / "toy.toml").write_text(TOY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ("--try-out", "--experiment", tmp_path / "toy.toml", "--port", port)
    assert cli("deploy", "init", tmp_path / "d", *words).code == 0
    return tmp_path / "d"


def _certified_for(made, days, host="localhost", *, monkeypatch):
    """The server's certificates made anew, with so many days left."""
    monkeypatch.setattr(certificates, "SERVER_DAYS", days)
    (made / "authority" / "ca.key").unlink()
    (made / "server" / "tls" / "server.key").unlink()
    write_authority(made / "server" / "tls", made / "authority" / "ca.key", host)


def test_a_server_whose_nodes_have_sent_no_key_has_something_to_do(cli, made):
    ended = cli("deploy", "doctor", made)
    assert ended.code == 1
    assert "DO    node-1" in ended.out
    assert "-> get supernode.pub from its operator" in ended.out
    assert "2 to do" in ended.out
    assert "right certificate server.crt: holds until" in ended.out


def test_a_server_that_is_ready_has_nothing_to_do(cli, made):
    for name in ("node-1", "node-2"):
        set_up_node(Deployment(made), name)
    ended = cli("deploy", "doctor", made)
    assert (ended.code, "nothing must be done" in ended.out) == (0, True), ended.out
    assert "free: the server does not run" in ended.out
    assert "right run: none has begun" in ended.out


def test_who_is_missing_and_why(cli, made):
    for name in ("node-1", "node-2"):
        set_up_node(Deployment(made), name)
    metrics = RunMetrics(made / "server" / "metrics.json", 4)
    metrics.lost("node-2")
    metrics.update(state="finished", release=1, unpublished=["node-1"])
    ended = cli("deploy", "doctor", made)
    assert ended.code == 1
    assert "lacks release 1" in ended.out
    assert "1 requests without a usable reply" in ended.out
    agreement = made / "nodes" / "node-1" / "shard" / "agreement.toml"
    agreement.write_bytes(agreement.read_bytes() + b"\n")
    assert "node-1: holds the agreement" in cli("deploy", "doctor", made).out


def test_a_run_that_died_is_something_to_do(cli, made):
    RunMetrics(made / "server" / "metrics.json", 4).update(state="running")
    ended = cli("deploy", "doctor", made)
    assert ended.code == 1
    assert "the run's process died" in ended.out


def test_another_process_at_the_port(cli, made):
    port = Deployment(made).server.read_settings().port
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        # a caller is taken in and told nothing, as by a server of something else
        ended = cli("deploy", "doctor", made)
    assert ended.code == 1
    assert "something else listens there" in ended.out


def test_certificates_that_end_soon_are_told(cli, made, monkeypatch):
    _certified_for(made, 10, monkeypatch=monkeypatch)
    ended = cli("deploy", "doctor", made)
    assert ended.code == 1
    assert "DO    certificate server.crt: holds until" in ended.out
    RunMetrics(made / "server" / "metrics.json", 4).update(state="no quorum")
    assert "certificate server.crt: holds until" in cli("deploy", "watch", made).out


def test_certificates_that_ended_or_name_another_host_are_told(cli, made, monkeypatch):
    _certified_for(made, 1 / 86400, "elsewhere", monkeypatch=monkeypatch)
    time.sleep(1.1)
    assert "server.crt: expired on" in cli("deploy", "doctor", made).out
    _certified_for(made, 800, "elsewhere.example", monkeypatch=monkeypatch)
    settings = made / "server" / "server.toml"
    settings.write_text(settings.read_text().replace('"localhost"', '"shop.example"'))
    assert "and not shop.example" in cli("deploy", "doctor", made).out


def test_clock_that_went_back(cli, made):
    later = datetime.datetime.now().timestamp() + 7200
    os.utime(made / "server" / "server.toml", (later, later))
    ended = cli("deploy", "doctor", made)
    assert ended.code == 1
    assert "behind this folder's files" in ended.out


def test_a_node_from_its_folder_to_its_agent(cli, made):
    shard = made / "nodes" / "node-1" / "shard"
    ended = cli("agent", "--shard", shard, "doctor")
    assert ended.code == 1
    for said in ("not signed off", "supernode.key is missing", "shard.sqlite is missing"):
        assert said in ended.out
    set_up_node(Deployment(made), "node-1")
    ended = cli("agent", "--shard", shard, "doctor")
    assert "2 to do" in ended.out
    assert "DO    socket: the agent does not run" in ended.out
    assert "DO    server: localhost:443 does not answer" in ended.out
    assert "whole, 15 users" in ended.out
    for path in shard.glob("shard.sqlite*"):
        path.write_bytes(b"no database at all" * 100)
    assert "3 to do" in cli("agent", "--shard", shard, "doctor").out
    status = made / "nodes" / "node-2" / "shard"
    (made / "nodes" / "node-2" / "ca.crt").write_text("none")
    assert "ask the server's operator" in cli("agent", "--shard", status, "status").out


def test_what_both_accounts_of_a_node_read_is_for_both(cli, made, monkeypatch):
    node = made / "nodes" / "node-1"
    assert all((node / name).stat().st_mode & 0o077 == 0o044 for name in ("ca.crt", "node.env"))

    def refused(self, **_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refused)
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = checks.certificate(node / "ca.crt", "renew")
    assert found.do == f"as root: chmod a+r {node / 'ca.crt'}"
    monkeypatch.undo()
    # what stays with the coordinator, who is not the server's account
    set_up_node(Deployment(made), "node-1")
    (node / "shard" / "agreement.toml").write_text("not = 'this'")
    assert "holds the agreement that cannot" in cli("deploy", "doctor", made).out
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "holds the agreement" not in cli("deploy", "doctor", made).out


@contextmanager
def answering(tls, seconds=0.0):
    """A server with the certificate in a folder, whose clock is so many seconds ahead."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "server.crt", tls / "server.key")
    when = formatdate(time.time() + seconds, usegmt=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            with (
                suppress(OSError),
                listener.accept()[0] as plain,
                context.wrap_socket(plain, server_side=True) as safe,
            ):
                safe.recv(2**14)
                safe.sendall(f"HTTP/1.1 404 Not Found\r\ndate: {when}\r\n\r\n".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"localhost:{listener.getsockname()[1]}"
    thread.join()


def test_a_node_says_whether_the_server_answers_and_is_ours(made, tmp_path):
    ca, tls = made / "nodes" / "node-1" / "ca.crt", made / "server" / "tls"
    with answering(tls) as address:
        found = checks.server(address, ca, "renew")
        assert (found.said, found.do) == (
            f"{address} answers, by a certificate that ca.crt knows",
            "",
        )
    with answering(tls, 7200) as address:
        found = checks.server(address, ca, "renew")
        assert "s behind its clock" in found.said
        assert found.do == "set the clock that is wrong"
    (tmp_path / "other").mkdir()
    write_authority(tmp_path / "other", tmp_path / "other" / "ca.key", "localhost")
    with answering(tmp_path / "other") as address:
        found = checks.server(address, ca, "renew")
        assert "is not known by ca.crt" in found.said
        assert found.do == "renew"
    assert "does not answer" in checks.server(address, ca, "renew").said
    assert "firewall" in checks.server(address, ca, "renew").do
    assert "DNS" in checks.server("no.such.invalid:443", ca, "renew").do
    assert "not asked" in checks.server(address, tmp_path / "none", "renew").said


def test_an_amendment_from_the_coordinator_to_a_signature(cli, made):
    shard = made / "nodes" / "node-1" / "shard"
    for name in ("node-1", "node-2"):
        set_up_node(Deployment(made), name)
    assert "give a name and its most users" in cli("deploy", "amend", made, "--join", "shop").err
    assert "changes nothing" in cli("deploy", "amend", made).err
    before = (made / "nodes" / "node-1" / "supernode.pub").read_bytes()
    made_anew = cli("agent", "--shard", shard, "init", "--new-key")
    assert "signed off" not in made_anew.out
    assert (made / "nodes" / "node-1" / "supernode.pub").read_bytes() != before
    ended = cli("deploy", "amend", made, "--join", "shop:7", "--key", "node-1")
    assert ended.code == 0, ended.err
    assert "node shop joins, client ids from 30 on" in ended.out
    digest = ended.out.split("amendment 1, ")[1].split()[0]
    assert "but for amendment 1" in cli("agent", "--shard", shard, "status").out
    assert "and amendment 1 is not" in cli("agent", "--shard", shard, "doctor").out
    wrong = cli("agent", "--shard", shard, "agree", "0" * 64)
    assert (wrong.code, "nothing was signed" in wrong.err) == (2, True)
    agreed = cli("agent", "--shard", shard, "agree", digest)
    assert "the key of node-1 is SHA256:" in agreed.out
    Deployment(made).server.write_nodes({"node-1": 7}, {"node-1": "SHA256:before"})
    told = cli("deploy", "doctor", made).out
    assert "registered is SHA256:before" in told
    assert "deploy start registers this one in its place" in told
    assert "signed off yes" in cli("agent", "--shard", shard, "status").out


def test_certificates_are_made_anew(cli, made):
    for name in ("node-1", "node-2"):
        set_up_node(Deployment(made), name)
    tls = made / "server" / "tls"
    before = {name: (tls / name).read_bytes() for name in ("ca.crt", "server.crt", "server.key")}
    assert cli("deploy", "renew", made).code == 0
    after = {name: (tls / name).read_bytes() for name in before}
    assert [name for name in before if before[name] != after[name]] == ["server.crt", "server.key"]
    assert "nothing must be done" in cli("deploy", "doctor", made).out
    ended = cli("deploy", "amend", made, "--new-authority")
    assert "replace ca.crt at each node" in ended.out
    digest = ended.out.split("amendment 1, ")[1].split()[0]
    node = made / "nodes" / "node-2"
    cli("agent", "--shard", node / "shard", "agree", digest)
    (node / "ca.crt").write_bytes(before["ca.crt"])
    assert "was agreed on" in cli("agent", "--shard", node / "shard", "doctor").out
    (made / "authority" / "ca.key").unlink()
    assert "put the authority's key there" in cli("deploy", "renew", made).err.replace("\n", " ")


def test_a_total_for_life_is_agreed_on_and_shown(cli, tmp_path):
    privacy = '[privacy]\nkind = "central-jdp"\nepsilon = 4.0\ndelta = 1e-3\n'
    words = (privacy + 'trust = "shard"\nshards = 2\nclip = 1.0\n', "")
    for name, table in zip(("private", "open"), words, strict=True):
        (tmp_path / f"{name}.toml").write_text(TOY + table)
    init = ("deploy", "init", tmp_path / "d", "--try-out", "--lifetime-epsilon", "9")
    refused = cli(*init, "--experiment", tmp_path / "open.toml")
    assert (refused.code, "[privacy] names none" in refused.err) == (2, True)
    assert not (tmp_path / "d").exists()
    ended = cli(*init, "--experiment", tmp_path / "private.toml", "--lifetime-days", "365")
    assert "a person in any 365 days, enough for 3 of epsilon = 4" in ended.out, ended.err
    set_up_node(Deployment(tmp_path / "d"), "node-1")
    shown = cli("agent", "--shard", tmp_path / "d" / "nodes" / "node-1" / "shard", "status").out
    assert "for life   all runs together: epsilon = 9" in shown
    assert "0 users cannot be in another run" in shown


def test_copies_are_written_and_put_back(cli, made, tmp_path):
    for name in ("node-1", "node-2"):
        set_up_node(Deployment(made), name)
    shard, server = made / "nodes" / "node-1" / "shard", tmp_path / "server.tar.gz"
    assert "server's key" in cli("deploy", "backup", made, server).out
    assert "move it away" in cli("deploy", "restore", made, server).err
    assert "start the superlink unit" in cli("deploy", "restore", tmp_path / "new", server).out
    assert "nothing is known of the ledger" in cli("deploy", "readmit", made, "node-1").err
    copy = tmp_path / "shard.tar.gz"
    assert "people's data" in cli("agent", "--shard", shard, "backup", copy).out
    elsewhere = tmp_path / "moved" / "shard"
    assert "restored 15 users" in cli("agent", "--shard", elsewhere, "restore", copy).out
    assert "users      15" in cli("agent", "--shard", elsewhere, "status").out
