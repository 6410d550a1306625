"""The agreement: what the operator of a shard signs off, and its agent holds the server to.

A request names the agreement by its digest and nothing else of it: algorithm, clip, noise, rounds
and all other settings come from the agent's own copy, so no request can change them. The digest is
that of the file: what a later release adds with a default leaves it as it is.
"""

import hashlib
import json
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import tomli_w
import torch

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.baselines.popularity import Popularity
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.spec import parse
from ufgraphfr.core.versions import Document, Schema
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.features import item_features
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.deploy.agreement.amendment import Amendment
from ufgraphfr.deploy.agreement.deployable import check_deployable
from ufgraphfr.deploy.agreement.guarantee import check_guarantee
from ufgraphfr.deploy.agreement.lifetime import Lifetime, check_lifetime, of_document
from ufgraphfr.deploy.agreement.masked import check_masked
from ufgraphfr.deploy.agreement.node import Node
from ufgraphfr.deploy.agreement.shipped import check_shipped
from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.prepare import (
    declared_profiles,
    item_text,
    item_text_is_asked_for,
)

NO_FILE = "given-at-import"
MetricsPolicy = Literal["sums", "noised", "none"]


def _smallest_is_min_users(old: Document) -> Document:
    kept = {key: value for key, value in old.items() if key != "smallest"}
    return kept | {"min_users": old["smallest"]}


SCHEMA = Schema("agreement", (_smallest_is_min_users,))


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
        lifetime: what all runs may spend on one person; None for a guarantee of one run.
        pad_keys: by node, the public half of the key that it made for secure sums.
        signed: the file it was read from; empty if it has not been written yet.
        amendments: what was agreed on since, see `chain`; ``nodes`` and ``catalogue`` are as they
            are now.
        left: nodes that take part no longer; their client ids are nobody else's.
    """

    experiment: Experiment
    catalogue: str
    nodes: tuple[Node, ...]
    min_users: int
    metrics: MetricsPolicy
    table: TableSource
    expected_users: int = 0
    lifetime: Lifetime | None = None
    pad_keys: Mapping[str, str] = field(default_factory=dict)
    signed: bytes = field(default=b"", repr=False, compare=False)
    amendments: tuple[Amendment, ...] = ()
    left: tuple[Node, ...] = ()

    @property
    def algorithm(self) -> Algorithm:
        """The model; `make` lets no baseline in."""
        assert isinstance(self.experiment.model, Algorithm)
        return self.experiment.model

    @property
    def clients(self) -> int:
        """How many client ids there are, given out or not."""
        return max(node.first + node.clients for node in (*self.nodes, *self.left))

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
        elif item_text_is_asked_for(self.experiment, self.clients):
            text = torch.zeros(len(catalogue.items), width)
            if self.experiment.mechanism.budget(self.clients) is not None:
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
        """The first document, TOML: as it was signed or, before that, as it will be written."""
        values: dict[str, Any] = {
            "catalogue": self.catalogue,
            "min_users": self.min_users,
            "metrics": self.metrics,
            "expected_users": self.expected_users,
            **({} if self.lifetime is None else {"lifetime": vars(self.lifetime)}),
            "nodes": [vars(node) for node in self.nodes],
            "table": self.table.model_dump(mode="json", exclude_none=True),
            "experiment": self.experiment.resolved(),
        } | ({"pad_keys": dict(self.pad_keys)} if self.pad_keys else {})
        return self.signed or tomli_w.dumps(SCHEMA.write(values)).encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the last document, by which server and agents know that they mean the same."""
        return self.digests[-1]

    @property
    def root(self) -> str:
        """SHA-256 of the first document: what runs, releases and budgets belong to."""
        return self.digests[0]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each document, the first one's first."""
        values = tomllib.loads(self.document.decode())
        first = hashlib.sha256(self.document).hexdigest()
        if SCHEMA.version_of(values, "the agreement") == 1:
            # as the release that wrote it has told operators and agents
            first = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
        return first, *(amendment.digest for amendment in self.amendments)

    @property
    def keys(self) -> dict[str, str]:
        """The fingerprints of nodes' keys, as far as they were agreed on."""
        agreed = {name: key for each in self.amendments for name, key in each.keys.items()}
        return {node.name: agreed[node.name] for node in self.nodes if node.name in agreed}

    @property
    def authority(self) -> str:
        """SHA-256 of the certificate by which the server is known; empty for the first one."""
        return ([""] + [each.authority for each in self.amendments if each.authority])[-1]

    @property
    def software(self) -> str:
        """The oldest release of this package that may run; empty for any."""
        return ([""] + [each.software for each in self.amendments if each.software])[-1]

    def write(self, path: Path) -> None:
        """Write the file."""
        write_atomically(path, self.document)


def make(
    experiment: Experiment,
    catalogue: str,
    nodes: tuple[Node, ...],
    table: TableSource,
    min_users: int = 1,
    metrics: MetricsPolicy = "sums",
    expected_users: int = 0,
    lifetime: Lifetime | None = None,
    pad_keys: Mapping[str, str] | None = None,
) -> Agreement:
    """Check that an experiment can be run by those who do not see the data.

    Raises:
        InputError: it needs everybody's data in one place.
    """
    check_shipped(experiment.resolved())
    check_deployable(experiment)
    clients = sum(node.clients for node in nodes)
    check_guarantee(experiment, len(nodes), clients)
    keys = pad_keys or {}
    check_masked(experiment, [node.name for node in nodes], keys)
    if metrics == "noised" and experiment.mechanism.budget(clients) is None:
        raise InputError("noised metrics are paid for from a budget: [privacy] names none")
    if lifetime is not None:
        check_lifetime(experiment, lifetime, clients)
    # centralised baselines see everybody's rows; each node can count its own
    kept = tuple(
        each for each in experiment.baselines if isinstance(each, Popularity) and metrics == "sums"
    )
    names = tuple(each.kind for each in kept)
    evaluation = experiment.evaluation.model_copy(update={"baselines": names})
    experiment = replace(experiment, evaluation=evaluation, baselines=kept)
    given = experiment, catalogue, nodes, min_users, metrics, table, expected_users
    return Agreement(*given, lifetime, keys)


def read_first(path: Path) -> Agreement:
    """The agreement in a file of this release or an older one, without its amendments.

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
                of_document(values.get("lifetime")),
                dict(values.get("pad_keys", {})),
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
