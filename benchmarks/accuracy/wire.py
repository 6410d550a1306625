"""What a coarser wire costs: a deployment whose nodes send the sum over their users rounded.

    python benchmarks/accuracy/wire.py experiments/ml100k/ufgraphformer.toml --rounds 60

The agents run in this process, without the engine between them and the server; what travels, its
bytes and the arithmetic are those of a deployment. Prints a line for each form of the wire and each
seed.
"""

import argparse
import json
import tempfile
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.shard import Agent
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import draft_tryout, write
from ufgraphfr.deploy.operations.launcher import set_up_node
from ufgraphfr.deploy.server.metrics import read_metrics
from ufgraphfr.deploy.server.run import run
from ufgraphfr.deploy.server.settings import ServerSettings
from ufgraphfr.deploy.wire.engine import Requests
from ufgraphfr.deploy.wire.message import pack
from ufgraphfr.experiment import build

WIRES: dict[str, dict[str, Any] | None] = {
    "float32": None,
    "bfloat16": {"codec": "bfloat16"},
    "int8": {"codec": "int8"},
    "int4": {"codec": "int4"},
    "int8, a quarter": {"codec": "int8", "share": 0.25},
}


@dataclass(frozen=True)
class LocalEngine:
    """See `ufgraphfr.deploy.wire.engine.Engine`: agents in this process, one after the other."""

    agents: dict[str, Agent]

    def reachable(self) -> set[str]:
        """See `Engine.reachable`."""
        return set(self.agents)

    def ask(
        self, nodes: Collection[str], requests: Requests, round_number: int, seconds: float
    ) -> Iterator[tuple[str, list[bytes]]]:
        """See `Engine.ask`."""
        for node in nodes:
            yield node, self.agents[node].answer(pack(requests(node)))


def outcome(path: Path, values: dict[str, Any], nodes: int) -> str:
    """One run: full HR@10, NDCG@10 on test, and megabytes up."""
    folder = Deployment(path)
    documents = draft_tryout(build(values), nodes, folder)
    write(folder, documents, ServerSettings(round_timeout=3600.0))
    names = [node.name for node in documents.agreement.nodes]
    for name in names:
        set_up_node(folder, name)
    agents = {name: Agent(ShardFolder(folder.node(name).shard)) for name in names}
    run(folder.server, LocalEngine(agents))
    full = json.loads((folder.server.run / "result.json").read_text())["test"]["full"]
    up = read_metrics(folder.server.metrics)["bytes_up"] / 1e6
    return f"{full['hr@10']:.4f} {full['ndcg@10']:.4f} {up:.1f} MB up"


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--wires", nargs="*", choices=WIRES, default=list(WIRES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    values = tomllib.loads(given.experiment.read_text(encoding="utf-8"))
    values["federation"]["rounds"] = given.rounds or values["federation"]["rounds"]
    for seed in range(given.seeds):
        for wire in given.wires:
            asked = {**values, "seed": seed}
            asked["federation"] = {**values["federation"], "upload": WIRES[wire]}
            with tempfile.TemporaryDirectory() as path:
                said = outcome(Path(path) / "deployment", asked, given.nodes)
            print(f"{wire}, seed {seed}: {said}", flush=True)


if __name__ == "__main__":
    main()
