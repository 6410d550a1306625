"""The folder that is written: complete, and filled in to the last word."""

import configparser
import itertools
import math
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from small_federation import NODES, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agent.users import import_table
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.agreement.node import Node
from ufgraphfr.deploy.operations.certificates import write_authority
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft, write
from ufgraphfr.deploy.server.settings import ServerSettings, bare_host
from ufgraphfr.experiment import build

ITEMS = "item,title,genre\na,First,Drama|Crime\nb,Second,Comedy\nc,,Drama\nd,Fourth,\ne,Fifth,\n"
ROWS = "user,item,timestamp\n" + "".join(
    f"{user},{item},{time}\n" for user in ("u", "v") for time, item in enumerate("abc")
)


@pytest.fixture
def own(tmp_path):
    """A deployment for data that only their holders have."""
    return made_at(tmp_path, "ours")


def made_at(tmp_path, name, **settings):
    (tmp_path / "items.csv").write_text(ITEMS)
    values = toy_values(data={"kind": "table", "interactions": "x.csv", "items": "items.csv"})
    made = draft(build(values), 2, users_per_node=10, min_users=2, data_dir=tmp_path)
    folder = Deployment(tmp_path / name)
    write(folder, made, ServerSettings(**({"host": "fl.example.org", "port": 9000} | settings)))
    return folder


def test_a_folder_with_a_blank_and_a_percent_is_one_word_everywhere(tmp_path):
    folder = made_at(tmp_path, "a b; 5%n é")
    node = folder.node("node-1")
    units = {path.name: path.read_text() for path in (folder.path / "systemd").iterdir()}
    for text in units.values():
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key in ("ExecStart", "ReadWritePaths", "InaccessiblePaths", "Environment"):
                words = shlex.split(value)
                assert not any(word.startswith("b;") for word in words)
                assert "%" not in value.replace("%%", "")
    words = shlex.split(units["ufgraphfr-agent-node-1.service"].partition("ExecStart=")[2])
    assert words[3].replace("%%", "%") == str(node.shard)
    rules = (folder.path / "nginx" / "ufgraphfr.conf").read_text()
    assert f'ssl_certificate "{folder.server.tls}/server.crt";' in rules
    environment = (node.path / "node.env").read_text()
    assert f'UFGRAPHFR_AGENT="{node.shard}/agent.sock"' in environment


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("every", ["7d", "30min"])
def test_systemd_has_nothing_to_say_of_the_units(every, tmp_path):
    folder = made_at(tmp_path, "a b; 5%n é", every=every)
    units = sorted((folder.path / "systemd").iterdir())
    command = ["systemd-analyze", "verify", "--man=no", *map(str, units)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    # the engine is an extra
    said = [line for line in ended.stderr.splitlines() if "is not executable" not in line]
    assert said == []


@pytest.mark.parametrize("name", ["a$b", 'a"b', "a'b", "a\\b", "a\nb", "a`b"])
def test_a_folder_that_no_unit_can_name_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="choose another folder"):
        made_at(tmp_path, name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("10.0.0.5", "10.0.0.5"),
        ("FL.example.org", "fl.example.org"),
        ("fl_server", "fl_server"),
        ("grün.example", "xn--grn-ioa.example"),
        ("xn--grn-ioa.example", "xn--grn-ioa.example"),
        ("long-" * 12 + "a.example.org", "long-" * 12 + "a.example.org"),
    ],
)
def test_a_host_is_written_as_certificates_name_it(value, name, tmp_path):
    assert bare_host(value) == name
    write_authority(tmp_path, tmp_path / "ca.key", bare_host(value))


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "http://fl.example",
        "fl.example:80",
        "fl.example/x",
        "a..b",
        "-a",
        "1.2.3",
        "a b",
        "groß.example",
        "x" * 64,
        "*.example.org",
    ],
)
def test_what_is_no_bare_host_is_refused(value):
    with pytest.raises(InputError, match="give the bare name"):
        bare_host(value)


def test_an_ipv6_address_is_refused():
    with pytest.raises(InputError, match="IPv6 address: give a name"):
        bare_host("fe80::1")


@pytest.mark.parametrize("facts", [("a/b", 0, 1), ("", 0, 1), ("a b", 0, 1), ("a", 0, 0)])
def test_a_node_has_a_plain_name_and_client_ids(facts):
    with pytest.raises(InputError, match="node"):
        Node(*facts)


def test_every_template_is_filled(own):
    units = sorted(path.name for path in (own.path / "systemd").iterdir())
    assert units == sorted(
        ["ufgraphfr-superlink.service", "ufgraphfr-continue.service", "ufgraphfr-continue.timer"]
        + [f"ufgraphfr-{kind}-{node}.service" for kind in ("agent", "supernode") for node in NODES]
    )
    for path in (own.path / "systemd").iterdir():
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str
        unit.read_string(path.read_text())
        assert "$" not in path.read_text()
        if path.suffix == ".timer":
            assert unit["Timer"]["OnCalendar"] == "*:07"
            continue
        lasting = "continue" not in path.name
        assert (unit["Service"].get("Restart") == "always") == lasting
        assert Path(unit["Service"]["ReadWritePaths"].strip('"')).is_dir()
    assert "$" not in (own.path / "README.md").read_text()
    rules = (own.path / "nginx" / "ufgraphfr.conf").read_text()
    assert "proxy_pass https://127.0.0.1:9000;" in rules
    assert rules.count("location") == 2


def test_no_nodes_key_is_made_elsewhere_and_the_server_gets_no_authority(own):
    """Who can answer as a node, or for a server, is not in what the coordinator hands out."""
    secret = {path.relative_to(own.path) for path in own.path.rglob("*.key")}
    assert secret == {Path("server/tls/server.key"), Path("authority/ca.key")}
    assert not list(own.path.rglob("*.pub"))
    assert not list(own.path.rglob("agreed"))


def test_supernode_and_agent_are_different_users(own):
    units = own.path / "systemd"
    assert "User=ufgraphfr-agent" in (units / "ufgraphfr-agent-node-1.service").read_text()
    assert "User=ufgraphfr-node" in (units / "ufgraphfr-supernode-node-1.service").read_text()


def test_the_app_holds_names_and_no_code(own):
    assert [path.name for path in own.server.app.iterdir()] == ["pyproject.toml"]
    app = tomllib.loads((own.server.app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert app["components"]["clientapp"] == "ufgraphfr.deploy.flower.client_app:app"
    assert app["config"]["folder"] == str(own.server.path)


def test_import_reads_a_holders_own_tables(own, tmp_path):
    shard = ShardFolder(own.node("node-2").shard)
    name, agreement, catalogue = shard.signed()
    assert catalogue.items == ("a", "b", "c", "d", "e")
    assert catalogue.titles == ("First", "Second", "c", "Fourth", "Fifth")
    rows = tmp_path / "rows.csv"
    rows.write_text(ROWS)
    store = ShardStore(shard.database)
    assert added(import_table(store, agreement, catalogue, name, rows, None)) == (2, 6)
    assert store.rows().clients.tolist() == [10, 11]
    assert added(import_table(store, agreement, catalogue, name, rows, None)) == (0, 0)
    rows.write_text(ROWS + "u,d,9\n")
    assert added(import_table(store, agreement, catalogue, name, rows, None)) == (0, 1)


def added(report):
    return report.users, report.interactions


@pytest.fixture
def importer(own, tmp_path):
    """Imports rows of `user,item,timestamp`, and the store they are in."""
    shard = ShardFolder(own.node("node-1").shard)

    def bring(*rows, header="user,item,timestamp"):
        path = tmp_path / "part.csv"
        path.write_text("\n".join([header, *rows, ""]))
        return shard.import_table(path, None)

    return bring, ShardStore(shard.database)


def histories(store):
    rows = store.rows()
    order = sorted(range(len(rows.user)), key=lambda row: (rows.user[row], rows.time[row]))
    found = dict.fromkeys(rows.names, "")
    for row in order:
        found[rows.names[rows.user[row]]] += "abcd"[rows.item[row]]
    return found


def test_users_wait_until_their_rows_of_several_imports_are_enough(importer):
    bring, store = importer
    assert bring("u,a,1", "u,b,2", "v,a,1").lines() == [
        "2 new users, 3 new interactions",
        "2 users wait until they have 3 interactions",
    ]
    assert store.rows().names == ()
    assert bring("u,c,3").lines()[0] == "0 new users, 1 new interactions"
    assert histories(store) == {"u": "abc"}
    assert "1 rows were here already" in bring("v,a,1", "v,b,2").lines()
    assert histories(store) == {"u": "abc"}


def test_a_changed_profile_replaces_the_one_before_and_this_is_told(tmp_path):
    (tmp_path / "items.csv").write_text(ITEMS)
    data = {"kind": "table", "interactions": "x.csv", "items": "items.csv"}
    values = toy_values(data=data | {"users": "users.csv", "template": "Aged {age}."})
    folder = Deployment(tmp_path / "d")
    made = draft(build(values), 2, users_per_node=10, min_users=2, data_dir=tmp_path)
    write(folder, made, ServerSettings())
    shard, rows, users = (
        ShardFolder(folder.node("node-1").shard),
        *map(tmp_path.joinpath, ("rows.csv", "users.csv")),
    )
    rows.write_text(ROWS)
    told = shard.import_table(rows, None).lines()
    assert any(line.startswith("2 new users have no profile") for line in told)
    users.write_text("user,age\nu,30\nv,40\nw,50\n")
    told = shard.import_table(rows, users).lines()
    assert "2 profiles were replaced" in told
    assert "1 profiles are of users without interactions, and were left out" in told
    before = ShardStore(shard.database).rows().texts
    assert "2 profiles were replaced" not in shard.import_table(rows, users).lines()
    # also of one who has no new rows
    rows.write_text("user,item,timestamp\nu,d,9\n")
    users.write_text("user,age\nu,30\nv,41\n")
    told = shard.import_table(rows, users).lines()
    assert told[:2] == ["0 new users, 1 new interactions", "1 profiles were replaced"]
    after = ShardStore(shard.database).rows().texts
    assert (before[0] == after[0]).all()
    assert (before[1] != after[1]).any()


@pytest.mark.slow
def test_files_in_any_order_end_in_the_same_state(tmp_path):
    """Numbers of users, which say who came first, aside."""
    files = [
        "u,a,5\nv,a,1\n",
        "u,b,2\nu,a,3\nw,c,1\n",
        "v,b,2\nv,c,3\nu,c,7\nv,c,0\n",
        "w,a,4\nw,b,5\n",
    ]
    found = []
    for index, order in enumerate(itertools.permutations(files)):
        folder = made_at(tmp_path, f"d{index}")
        shard, path = ShardFolder(folder.node("node-1").shard), tmp_path / "part.csv"
        for rows in order:
            path.write_text("user,item,timestamp\n" + rows)
            shard.import_table(path, None)
        found.append(histories(ShardStore(shard.database)))
    assert found == [{"u": "bac", "v": "cab", "w": "cab"}] * 24


@pytest.mark.parametrize(
    "earlier", ["1600000000.5", "1600000000500", "1600000000500000", "2020-09-13T12:26:40.5"]
)
def test_times_of_all_imports_are_in_one_unit(earlier, importer):
    bring, store = importer
    bring("u,a,1700000000", "u,b,1700000001", "u,c,1700000002")
    bring(f"u,d,{earlier}")
    assert histories(store) == {"u": "dabc"}
    assert store.rows().time.max() == 1700000002_000_000


def test_times_that_cannot_be_compared_are_refused(importer):
    bring, store = importer
    bring("u,a,1700000000", "u,b,1700000001", "u,c,1700000002")
    with pytest.raises(InputError, match="one side counts since 1970"):
        bring("u,d,7")
    with pytest.raises(InputError, match="this table has none"):
        bring("u,d", header="user,item")
    assert histories(store) == {"u": "abc"}


def test_the_earliest_time_of_a_pair_counts_across_imports(importer):
    bring, store = importer
    bring("u,a,5", "u,b,6", "u,c,7")
    assert added(bring("u,c,1")) == (0, 0)
    assert histories(store) == {"u": "cab"}


def test_data_that_a_round_would_refuse_are_refused_at_import(importer, monkeypatch):
    bring, store = importer

    def refuse(*_):
        raise InputError("no round can use this")

    monkeypatch.setattr("ufgraphfr.deploy.agent.users.read_users", refuse)
    with pytest.raises(InputError, match="no round can use this"):
        bring("u,a,5", "u,b,6", "u,c,7")
    assert store.names() == []


def test_an_import_counts_the_rows_that_find_their_item(importer):
    bring, _ = importer
    with pytest.raises(InputError, match=r"'zz'.*holds 'a': 2 of 3 rows found their item"):
        bring("u,a,1", "u,b,2", "u,zz,3")


def test_import_refuses_what_the_catalogue_does_not_know(own, tmp_path):
    shard = ShardFolder(own.node("node-1").shard)
    name, agreement, catalogue = shard.signed()
    rows = tmp_path / "rows.csv"
    rows.write_text(ROWS + "u,zz,9\n")
    store = ShardStore(shard.database)
    with pytest.raises(InputError, match=r"rows\.csv: item 'zz' is not in the catalogue"):
        import_table(store, agreement, catalogue, name, rows, None)
    assert store.names() == []


@pytest.mark.parametrize(("asked", "found"), [(None, "none"), ("sums", "sums")])
def test_under_a_guarantee_metrics_leave_only_if_that_is_asked_for(asked, found, tmp_path):
    (tmp_path / "items.csv").write_text(ITEMS)
    values = toy_values(data={"kind": "table", "interactions": "x.csv", "items": "items.csv"})
    values["privacy"] = {
        **{"kind": "central-jdp", "epsilon": 8.0, "delta": 1e-3},
        **{"trust": "shard", "shards": 2},
    }
    made = draft(build(values), 2, 10, 2, asked, tmp_path)
    assert made.agreement.metrics == found


def test_without_a_catalogue_there_is_no_deployment():
    with pytest.raises(InputError, match="file of all items"):
        draft(build(toy_values()), 2, 10, 1)


def test_what_is_left_open_is_agreed_on_as_a_number(tmp_path):
    """From the users and items that the agreement declares: nobody counts interactions."""
    (tmp_path / "items.csv").write_text(ITEMS)
    values = toy_values(data={"kind": "table", "interactions": "x.csv", "items": "items.csv"})
    left = {key: value for key, value in values.items() if key != "federation"}
    left["algorithm"] = {"kind": "ufgraphformer"}
    made = draft(
        build(left), 2, users_per_node=1_000, min_users=2, data_dir=tmp_path, expected_users=100
    ).agreement
    path = tmp_path / "agreement.toml"
    made.write(path)
    assert "auto" not in made.experiment.resolved()["federation"].values()
    for agreement in (made, read_agreement(path)):
        assert agreement.experiment.auto == frozenset()
        assert agreement.experiment.federation.cohort == 64
        assert agreement.experiment.federation.rounds == 8 + math.ceil(20 * 100 / 64)
    assert {"federation.cohort", "federation.rounds"} <= {
        each.key for each in read_agreement(path).experiment.derived
    }
