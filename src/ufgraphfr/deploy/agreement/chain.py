"""An agreement with its amendments: the chain of documents that lies beside its first file.

``amendments/1.toml`` names the digest of ``agreement.toml``, ``2.toml`` that of ``1.toml``. A grown
catalogue lies beside its amendment, as ``1.catalogue.json``.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.catalogue import Catalogue, read_catalogue
from ufgraphfr.deploy.agreement.amendment import Amendment, read_amendment
from ufgraphfr.deploy.agreement.document import Agreement, read_first
from ufgraphfr.deploy.agreement.guarantee import check_guarantee
from ufgraphfr.deploy.agreement.masked import check_amended
from ufgraphfr.privacy.central_jdp import CentralJDP


class Documents(NamedTuple):
    """What everybody in a federation holds: the agreement, and the catalogue that it names."""

    agreement: Agreement
    catalogue: Catalogue


def folder_of(agreement: Path) -> Path:
    """Where the amendments of an agreement's file lie."""
    return agreement.parent / "amendments"


def place_of(agreement: Path, number: int) -> tuple[Path, Path]:
    """The files of an amendment, and of the catalogue that it may name."""
    folder = folder_of(agreement)
    return folder / f"{number}.toml", folder / f"{number}.catalogue.json"


def amended(agreement: Agreement, amendment: Amendment) -> Agreement:
    """An agreement with its next amendment.

    Raises:
        InputError: the amendment is of another document, or does not fit this one.
    """
    number = len(agreement.amendments) + 1
    if (amendment.number, amendment.amends) != (number, agreement.digest):
        raise InputError(
            f"amendment {amendment.number} goes on from {amendment.amends[:12]}, where the "
            f"document before it is number {number - 1}, {agreement.digest[:12]}: copy all "
            f"amendments again from the folder where deploy amend wrote them"
        )
    staying = tuple(node for node in agreement.nodes if node.name not in amendment.leave)
    nodes, free = (*staying, *amendment.join), agreement.clients
    for name in (*amendment.leave, *amendment.keys):
        if name not in amendment.keys or name not in {node.name for node in nodes}:
            agreement.node(name)
    for node in sorted(amendment.join, key=lambda each: each.first):
        if node.first < free or node.name in {n.name for n in (*agreement.nodes, *agreement.left)}:
            raise InputError(
                f"node {node.name} cannot join with client ids from {node.first:,} on: a name and "
                f"an id are never given out twice, and {free:,} is the next free one"
            )
        free = node.first + node.clients
    if not nodes:
        raise InputError("the last node cannot leave: end the deployment instead")
    check_amended(agreement.experiment, agreement.pad_keys, amendment, len(nodes))
    leaving = tuple(node for node in agreement.nodes if node.name in amendment.leave)
    spec, experiment = agreement.experiment.mechanism, agreement.experiment
    if isinstance(spec, CentralJDP) and spec.trust != "server":
        # a node that leaves does not weaken what was claimed with it
        spec = spec.model_copy(update={"shards": max(spec.shards, len(nodes))})
        experiment = replace(experiment, mechanism=spec)
        check_guarantee(experiment, spec.shards, free)
    return replace(
        agreement,
        experiment=experiment,
        catalogue=amendment.catalogue or agreement.catalogue,
        nodes=nodes,
        pad_keys={**agreement.pad_keys, **amendment.pad_keys},
        signed=agreement.document,
        amendments=(*agreement.amendments, amendment),
        left=(*agreement.left, *leaving),
    )


def read_chain(path: Path) -> Iterator[Agreement]:
    """The agreement in a file as it was first, then as each amendment beside it left it.

    Raises:
        InputError: a document cannot be read, or does not follow from the one before it.
    """
    agreement = read_first(path)
    yield agreement
    while (place := place_of(path, len(agreement.amendments) + 1)[0]).exists():
        agreement = amended(agreement, read_amendment(place))
        yield agreement


def read_agreement(path: Path, until: str | None = None) -> Agreement:
    """The agreement in a file with the amendments beside it.

    Args:
        path: of the first document.
        until: digest of the last document that counts; None is the last that is there.

    Raises:
        InputError: see `read_chain`, or no document has that digest.
    """
    agreement = None
    for agreement in read_chain(path):
        if agreement.digest == until:
            return agreement
    if until is not None or agreement is None:
        raise InputError(f"{path} and its amendments hold no document {until}: copy them again")
    return agreement


def read_documents(agreement: Path, catalogue: Path, until: str | None = None) -> Documents:
    """An agreement with its amendments, and the catalogue that it names.

    Raises:
        InputError: a file cannot be read, or is not the one that was agreed on.
    """
    agreed = read_agreement(agreement, until)
    changes = [each.number for each in agreed.amendments if each.catalogue]
    paths = [catalogue, *(place_of(agreement, number)[1] for number in changes)]
    catalogues = [read_catalogue(path) for path in paths]
    digest = hashlib.sha256(paths[-1].read_bytes()).hexdigest()
    if digest != agreed.catalogue:
        raise InputError(
            f"{paths[-1]} is not the catalogue that was agreed on: copy it again from the folder "
            f"that deploy init wrote"
        )
    for before, after, path in zip(catalogues, catalogues[1:], paths[1:], strict=False):
        if after.items[: len(before.items)] != before.items:
            raise InputError(f"{path} does not begin with the items that were agreed on before")
    return Documents(agreed, catalogues[-1])
