"""The folder that is written: complete, and filled in to the last word."""

import configparser
import shlex
import tomllib
from pathlib import Path

import pytest
from small_federation import NODES, toy_values

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.shard import ShardFolder
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agent.users import import_table
from ufgraphfr.deploy.agreement.document import Node
from ufgraphfr.deploy.operations.certificates import write_authority
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft, write
from ufgraphfr.deploy.server.settings import ServerSettings, bare_host
from ufgraphfr.experiment import build

ITEMS = "item,title,genre\na,First,Drama|Crime\nb,Second,Comedy\nc,,Drama\nd,Fourth,\n"
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
    write_authority(tmp_path, bare_host(value))


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
        ["ufgraphfr-superlink.service"]
        + [f"ufgraphfr-{kind}-{node}.service" for kind in ("agent", "supernode") for node in NODES]
    )
    for path in (own.path / "systemd").iterdir():
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str
        unit.read_string(path.read_text())
        assert unit["Service"]["Restart"] == "always"
        assert "$" not in path.read_text()
        assert Path(unit["Service"]["ReadWritePaths"].strip('"')).is_dir()
    assert "$" not in (own.path / "README.md").read_text()
    rules = (own.path / "nginx" / "ufgraphfr.conf").read_text()
    assert "proxy_pass https://127.0.0.1:9000;" in rules
    assert rules.count("location") == 2


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
    assert catalogue.items == ("a", "b", "c", "d")
    assert catalogue.titles == ("First", "Second", "c", "Fourth")
    rows = tmp_path / "rows.csv"
    rows.write_text(ROWS)
    store = ShardStore(shard.database)
    assert import_table(store, agreement, catalogue, name, rows, None) == (2, 6)
    assert store.rows().clients.tolist() == [10, 11]
    assert import_table(store, agreement, catalogue, name, rows, None) == (0, 0)
    rows.write_text(ROWS + "u,d,9\n")
    assert import_table(store, agreement, catalogue, name, rows, None) == (0, 1)


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
