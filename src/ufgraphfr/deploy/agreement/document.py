"""The agreement: what the operator of a shard signs off, and its agent holds the server to.

A request names the agreement by its digest and nothing else of it: algorithm, clip, noise, rounds
and all other settings come from the agent's own copy, so no request can change them. The digest is
that of the file: what a later release adds with a default leaves it as it is.
"""

import hashlib
import json
import re
import tomllib
import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import tomli_w
import torch

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.spec import parse
from ufgraphfr.core.versions import Document, Schema
from ufgraphfr.data.catalogue import Catalogue, read_catalogue
from ufgraphfr.data.features import item_features
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.deploy.agreement.deployable import check_deployable
from ufgraphfr.deploy.agreement.guarantee import check_guarantee
from ufgraphfr.deploy.agreement.shipped import check_shipped
from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.prepare import declared_profiles, item_text

NO_FILE = "given-at-import"
MetricsPolicy = Literal["sums", "noised", "none"]


def _smallest_is_min_users(old: Document) -> Document:
    kept = {key: value for key, value in old.items() if key != "smallest"}
    return kept | {"min_users": old["smallest"]}


SCHEMA = Schema("agreement", (_smallest_is_min_users,))


@dataclass(frozen=True)
class Node:
    """One data holder.

    Attributes:
        name: of the node.
        first: id of its first client.
        clients: how many ids it may give to its users.
    """

    name: str
    first: int
    clients: int

    def __post_init__(self) -> None:
        """Checks what ends in paths, units and ids."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", self.name):
            raise InputError(f"node '{self.name}': a name is of letters, digits, '-', '_' and '.'")
        if self.first < 0 or self.clients < 1:
            raise InputError(f"node {self.name}: it needs at least one client id, from 0 on")


@dataclass(frozen=True)
class Agreement:
    """What every party of a federation has agreed to.

    Attributes:
        experiment: what is run.
        catalogue: SHA-256 of the public catalogue's file.
        nodes: who takes part.
        min_users: users whose sum may leave a node; of fewer, nothing leaves.
        metrics: whether sums of users' metrics may leave a node: without noise, or once, for the
            test, noised and paid for, or not at all.
        table: how a shard's files are read.
        expected_users: how many all nodes are counted on to have together; what a budget affords
            follows from it, and no guarantee rests on it. 0 in agreements of before, which took
            the number of ids.
        signed: the file it was read from; empty if it has not been written yet.
    """

    experiment: Experiment
    catalogue: str
    nodes: tuple[Node, ...]
    min_users: int
    metrics: MetricsPolicy
    table: TableSource
    expected_users: int = 0
    signed: bytes = field(default=b"", repr=False, compare=False)

    @property
    def algorithm(self) -> Algorithm:
        """The model; `make` lets no baseline in."""
        assert isinstance(self.experiment.model, Algorithm)
        return self.experiment.model

    @property
    def clients(self) -> int:
        """How many client ids there are, given out or not."""
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

    def setting(self, catalogue: Catalogue, embed_titles: bool) -> Setting:
        """The public facts of the federation.

        Args:
            catalogue: the items.
            embed_titles: whether sentences are embedded; agents need only know their width.
        """
        text, profiles, width = None, None, self.experiment.encoder.width
        if embed_titles:
            text = item_text(self.experiment, self.clients, catalogue)
            profiles = declared_profiles(self.experiment, self.clients)
        elif self.experiment.mechanism.budget(self.clients) is not None:
            text = torch.zeros(len(catalogue.items), width)
            declared = self.experiment.source.every_text()
            profiles = torch.zeros(len(declared), width) if declared else None
        return Setting(
            items=len(catalogue.items),
            clients=self.clients,
            text_width=width,
            seed=self.experiment.seed,
            features=item_features(catalogue),
            item_text=text,
            sequential=bool(self.table.sequential),
            expected_clients=self.expected_users or None,
            profiles=profiles,
        )

    @property
    def document(self) -> bytes:
        """The file, TOML: as it was signed or, if it has not been written yet, as it will be."""
        values: dict[str, Any] = {
            "catalogue": self.catalogue,
            "min_users": self.min_users,
            "metrics": self.metrics,
            "expected_users": self.expected_users,
            "nodes": [vars(node) for node in self.nodes],
            "table": self.table.model_dump(mode="json", exclude_none=True),
            "experiment": self.experiment.resolved(),
        }
        return self.signed or tomli_w.dumps(SCHEMA.write(values)).encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, by which server and agents know that they mean the same."""
        values = tomllib.loads(self.document.decode())
        if SCHEMA.version_of(values, "the agreement") == 1:
            # as the release that wrote it has told operators and agents
            return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
        return hashlib.sha256(self.document).hexdigest()

    def write(self, path: Path) -> None:
        """Write the file."""
        write_atomically(path, self.document)


class Documents(NamedTuple):
    """What everybody in a federation holds: the agreement, and the catalogue that it names."""

    agreement: Agreement
    catalogue: Catalogue


def make(
    experiment: Experiment,
    catalogue: str,
    nodes: tuple[Node, ...],
    table: TableSource,
    min_users: int = 1,
    metrics: MetricsPolicy = "sums",
    expected_users: int = 0,
) -> Agreement:
    """Check that an experiment can be run by those who do not see the data.

    Raises:
        InputError: it needs everybody's data in one place.
    """
    check_shipped(experiment.resolved())
    check_deployable(experiment)
    clients = sum(node.clients for node in nodes)
    check_guarantee(experiment, len(nodes), clients)
    if metrics == "noised" and experiment.mechanism.budget(clients) is None:
        raise InputError("noised metrics are paid for from a budget: [privacy] names none")
    # centralised baselines see everybody's rows
    evaluation = experiment.evaluation.model_copy(update={"baselines": ()})
    experiment = replace(experiment, evaluation=evaluation, baselines=())
    return Agreement(experiment, catalogue, nodes, min_users, metrics, table, expected_users)


def read_agreement(path: Path) -> Agreement:
    """The agreement in a file of this release or an older one.

    Raises:
        InputError: it cannot be read, does not hold what it must, or this release has no longer
            what was agreed on.
    """
    older = False
    try:
        signed = path.read_bytes()
        document = tomllib.loads(signed.decode())
        older = SCHEMA.version_of(document, path) < SCHEMA.version
        values = SCHEMA.read(document, path)
        if values["metrics"] not in get_args(MetricsPolicy):
            raise InputError(
                f"{path}: metrics = {values['metrics']!r} must be 'sums', 'noised' or 'none'"
            )
        with warnings.catch_warnings():
            # nobody can rename a key in what is signed
            warnings.simplefilter("ignore", DeprecationWarning)
            check_shipped(values["experiment"])
            agreement = make(
                # what is signed leaves nothing to be derived
                replace(build(values["experiment"]), auto=frozenset()),
                str(values["catalogue"]),
                tuple(Node(**node) for node in values["nodes"]),
                parse(TableSource, values["table"], f"{path} [table]"),
                int(values["min_users"]),
                values["metrics"],
                int(values.get("expected_users", 0)),
            )
        return replace(agreement, signed=signed)
    except InputError as error:
        if not older:
            raise
        raise InputError(
            f"{path} is of an older release, and this one cannot do what was agreed on ({error}): "
            f"install that release, or agree anew with deploy init"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a readable agreement ({type(error).__name__}: {error}): copy it again "
            f"from the folder that deploy init wrote"
        ) from None


def read_documents(agreement: Path, catalogue: Path) -> Documents:
    """An agreement, and the catalogue that it names.

    Raises:
        InputError: a file cannot be read, or is not the one that was agreed on.
    """
    documents = Documents(read_agreement(agreement), read_catalogue(catalogue))
    if hashlib.sha256(catalogue.read_bytes()).hexdigest() != documents.agreement.catalogue:
        raise InputError(
            f"{catalogue} is not the catalogue that was agreed on: copy it again from the folder "
            f"that deploy init wrote"
        )
    return documents
