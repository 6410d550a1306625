"""Compose files: the commands of the units, in accounts and folders that keep the parts apart."""

import shlex
from pathlib import Path

import yaml
from small_federation import federate, toy_values

from ufgraphfr.deploy.operations.commands import BIN

ROOT = Path(__file__).parents[3]


def services(folder, name):
    found = yaml.safe_load((folder.path / "compose" / f"{name}.yaml").read_text())
    assert found.keys() == {"services"}
    return found["services"]


def unit_command(folder, name):
    unit = (folder.path / "systemd" / f"ufgraphfr-{name}.service").read_text()
    (line,) = [each for each in unit.splitlines() if each.startswith("ExecStart=")]
    return shlex.split(line.removeprefix("ExecStart="))


def mounts(service):
    return {each["source"]: not each["read_only"] for each in service["volumes"]}


def test_containers_run_what_the_units_run(tmp_path):
    folder = federate(tmp_path / "d", toy_values(algorithm={"kind": "fedmf", "dim": 4})).folder
    both = {
        "superlink": services(folder, "server")["superlink"],
        "agent-node-1": services(folder, "node-1")["agent"],
        "supernode-node-2": services(folder, "node-2")["supernode"],
    }
    for name, service in both.items():
        command = [str(BIN / service["command"][0]), *service["command"][1:]]
        assert command == unit_command(folder, name)
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["restart"] == "always"
        # what is mounted is there, at the same place
        for each in service["volumes"]:
            assert each["source"] == each["target"]
            assert Path(each["source"]).exists()
    assert len({service["user"] for service in both.values()}) == 3


def test_the_agent_has_no_network_and_the_supernode_cannot_write_to_the_shard(tmp_path):
    folder = federate(tmp_path / "d", toy_values(algorithm={"kind": "fedmf", "dim": 4})).folder
    node, found = folder.node("node-1"), services(folder, "node-1")
    agent, supernode = found["agent"], found["supernode"]
    assert agent["network_mode"] == "none"
    assert mounts(agent) == {str(node.shard.resolve()): True}
    assert mounts(supernode)[str(node.shard.resolve())] is False
    # it reaches the socket by the agent's group, and nothing else there is the group's
    assert supernode["group_add"] == [agent["user"].partition(":")[0]]
    assert supernode["user"] != agent["user"]
    assert supernode["environment"]["UFGRAPHFR_AGENT"] == str(node.shard.resolve() / "agent.sock")


def test_the_image_has_the_accounts_of_the_files(tmp_path):
    folder = federate(tmp_path / "d", toy_values(algorithm={"kind": "fedmf", "dim": 4})).folder
    image = (ROOT / "Dockerfile").read_text()
    for service in (*services(folder, "server").values(), *services(folder, "node-1").values()):
        user, _, group = service["user"].partition(":")
        assert f"--uid {user} --gid {group}" in image
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = " ".join(line for line in image.splitlines() if line.startswith("COPY")).split()
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "src"):
        assert name in copied
        assert f"!{name}" in ignored
        assert (ROOT / name).exists()
