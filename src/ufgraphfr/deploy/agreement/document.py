"""The agreement: what the operator of a shard signs off, and its agent holds the server to.

A request names the agreement by its digest and nothing else of it: algorithm, clip, noise, rounds
and all other settings come from the agent's own copy, so no request can change them.
"""

import hashlib
import json
import tomllib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import tomli_w
import torch

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.messages import Aggregation
from ufgraphfr.core.spec import parse
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.features import item_features
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.deploy.agreement.guarantee import check_guarantee
from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.prepare import item_text

SCHEMA = "ufgraphfr-agreement-1"
NO_FILE = "given-at-import"
Sums = Literal["sums", "none"]


@dataclass(frozen=True)
class Node:
    """One data holder.

    Attributes:
        name: of the node.
        first: number of its first client.
        clients: how many numbers it may give to its users.
    """

    name: str
    first: int
    clients: int


@dataclass(frozen=True)
class Agreement:
    """What every party of a federation has agreed to.

    Attributes:
        experiment: what is run.
        catalogue: digest of the public catalogue.
        nodes: who takes part.
        smallest: users whose sum may leave a node; of fewer, nothing leaves.
        metrics: whether sums of users' metrics may leave a node without noise.
        table: how a shard's files are read.
    """

    experiment: Experiment
    catalogue: str
    nodes: tuple[Node, ...]
    smallest: int
    metrics: Sums
    table: TableSource

    @property
    def algorithm(self) -> Algorithm:
        """The model; `make` lets no reference in."""
        assert isinstance(self.experiment.model, Algorithm)
        return self.experiment.model

    @property
    def clients(self) -> int:
        """How many client numbers there are, given out or not."""
        return max(node.first + node.clients for node in self.nodes)

    def node(self, name: str) -> Node:
        """The node of a name.

        Raises:
            InputError: there is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise InputError(f"the agreement knows no node '{name}': it knows {known}")

    def setting(self, catalogue: Catalogue, told: bool) -> Setting:
        """The public facts of the federation.

        Args:
            catalogue: the items.
            told: whether item texts are embedded; agents need only know how many numbers they are.
        """
        genres = catalogue.features.get("genre")
        text = None
        if told:
            text = item_text(self.experiment, self.clients, catalogue.titles, genres)
        elif self.experiment.mechanism.budget(self.clients) is not None:
            text = torch.zeros(len(catalogue.items), self.experiment.encoder.width)
        return Setting(
            items=len(catalogue.items),
            clients=self.clients,
            text_width=self.experiment.encoder.width,
            seed=self.experiment.seed,
            features=item_features(catalogue),
            item_text=text,
        )

    def values(self) -> dict[str, Any]:
        """Everything, as TOML knows it."""
        return {
            "schema": SCHEMA,
            "catalogue": self.catalogue,
            "smallest": self.smallest,
            "metrics": self.metrics,
            "nodes": [vars(node) for node in self.nodes],
            "table": self.table.model_dump(mode="json"),
            "experiment": self.experiment.resolved(),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything."""
        return hashlib.sha256(json.dumps(self.values(), sort_keys=True).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Write the agreement as TOML."""
        write_atomically(path, tomli_w.dumps(self.values()).encode())


def make(
    experiment: Experiment,
    catalogue: str,
    nodes: tuple[Node, ...],
    table: TableSource,
    smallest: int = 1,
    metrics: Sums = "sums",
) -> Agreement:
    """Check that an experiment can be run by those who do not see the data.

    Raises:
        InputError: it needs everybody's data in one place.
    """
    if not isinstance(experiment.model, Algorithm):
        raise InputError(
            f"[algorithm] kind = '{experiment.model.kind}' needs everybody's rows in one place: "
            f"name a federated algorithm"
        )
    protocol = experiment.protocol
    if protocol.split != "leave-one-out" or protocol.cold_users or protocol.negatives != "honest":
        raise InputError(
            "[protocol]: a deployment evaluates by leave-one-out, with honest negatives and "
            "without cold users: leave the table out"
        )
    if (
        experiment.federation.upload is not None
        and experiment.model.aggregation is Aggregation.PER_CLIENT
    ):
        raise InputError(
            f"[federation.upload]: '{experiment.model.kind}' uploads each user's own update, which "
            f"a deployment does not compress: leave the table out"
        )
    check_guarantee(experiment, len(nodes), sum(node.clients for node in nodes))
    # centralised yardsticks see everybody's rows
    evaluation = experiment.evaluation.model_copy(update={"yardsticks": ()})
    experiment = replace(experiment, evaluation=evaluation, yardsticks=())
    return Agreement(experiment, catalogue, nodes, smallest, metrics, table)


def read_agreement(path: Path) -> Agreement:
    """An agreement that `Agreement.write` wrote.

    Raises:
        InputError: it cannot be read, or does not hold what it must.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        if values["schema"] != SCHEMA or values["metrics"] not in get_args(Sums):
            raise InputError(f"{path} is an agreement of another version: make it again")
        nodes = tuple(Node(**node) for node in values["nodes"])
        table = parse(TableSource, values["table"], f"{path} [table]")
        return make(
            build(values["experiment"]),
            str(values["catalogue"]),
            nodes,
            table,
            int(values["smallest"]),
            values["metrics"],
        )
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a readable agreement ({type(error).__name__}: {error}): copy it again "
            f"from the folder that deploy init wrote"
        ) from None
