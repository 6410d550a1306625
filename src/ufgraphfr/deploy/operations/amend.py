"""Writes the next amendment of an agreement, for each node's operator to sign."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import make_folder, write_atomically
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.features import item_features
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agreement.amendment import Amendment
from ufgraphfr.deploy.agreement.chain import Documents, amended, place_of, read_documents
from ufgraphfr.deploy.agreement.guarantee import shard_mechanism
from ufgraphfr.deploy.agreement.node import Node
from ufgraphfr.deploy.operations import authority
from ufgraphfr.deploy.operations.certificates import fingerprint
from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.init import write_node, write_node_texts
from ufgraphfr.deploy.operations.pad_keys import read_pad_keys
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.privacy.accounted.ledger import Ledger


@dataclass(frozen=True)
class Changes:
    """What an operator wants changed.

    Attributes:
        join: name and most users of each new node.
        leave: names of nodes that leave.
        keys: names of nodes whose ``supernode.pub`` is another one now.
        items: file of all items, if the catalogue grows.
        authority: whether the server's certificates are made anew, authority and all.
        software: the oldest release that every host runs.
        pad_keys: folder of the public halves of the pad keys of nodes that join, if there are any.
    """

    join: Sequence[tuple[str, int]] = ()
    leave: Sequence[str] = ()
    keys: Sequence[str] = ()
    items: Path | None = None
    authority: bool = False
    software: str = ""
    pad_keys: Path | None = None


def amend(folder: Deployment, changes: Changes) -> Documents:
    """Write the next amendment to the server and to each node's folder.

    Raises:
        InputError: what changes does not fit, or has to wait for the end of the run; nothing is
            written.
    """
    server = folder.server
    settings = server.read_settings()
    authority.settle(folder)
    before = read_documents(server.agreement, server.catalogue)
    _check_run(folder, changes)
    catalogue = None if changes.items is None else _grown(before, changes.items)
    amendment = Amendment(
        number=len(before.agreement.amendments) + 1,
        amends=before.agreement.digest,
        catalogue="" if catalogue is None else catalogue.digest,
        join=_joining(before.agreement.clients, changes.join),
        leave=tuple(changes.leave),
        keys={name: fingerprint(folder.node(name).public_key) for name in changes.keys},
        authority="0" * 64 if changes.authority else "",
        software=changes.software,
        pad_keys=_pad_keys(changes),
    )
    # everything is checked before a certificate is made anew
    _check_budget(Documents(amended(before.agreement, amendment), catalogue or before.catalogue))
    if changes.authority:
        amendment = replace(amendment, authority=authority.stage(folder, settings.host))
    for node in amendment.join:
        write_node(folder, node.name)
        write_node_texts(folder, node.name, settings)
    after = amended(before.agreement, amendment)
    nodes = [ShardFolder(folder.node(node.name).shard).agreement for node in after.nodes]
    for place in (folder.path / "agreement.toml", *nodes, server.agreement):
        _hand_out(server.agreement, place, amendment, catalogue)
    authority.settle(folder)
    return Documents(after, catalogue or before.catalogue)


def _hand_out(source: Path, place: Path, amendment: Amendment, catalogue: Catalogue | None) -> None:
    """Put all amendments beside a copy of the agreement; the last file makes it one."""
    for number in range(1, amendment.number):
        for path, copy in zip(place_of(source, number), place_of(place, number), strict=True):
            if path.exists() and not copy.exists():
                write_atomically(copy, path.read_bytes())
    path, items = place_of(place, amendment.number)
    make_folder(path.parent)
    if catalogue is not None:
        catalogue.write(items)
    write_atomically(path, amendment.document, sync=True)


def _check_run(folder: Deployment, changes: Changes) -> None:
    """What a run is about stays until its end.

    Raises:
        InputError: it would not.
    """
    server = folder.server
    under_way = server.participants.exists() and not (server.run / "result.json").exists()
    if under_way and (changes.items is not None or changes.join):
        raise InputError(
            f"the run in {server.run} is not finished: a catalogue grows, and nodes join, between "
            f"two runs; go on with it first (deploy start)"
        )


def _check_budget(documents: Documents) -> None:
    """What was promised can be promised to so many, about so many items.

    Raises:
        InputError: it cannot.
    """
    agreement, catalogue = documents
    setting = agreement.setting(catalogue, embed_titles=False)
    algorithm, noised = model_in_use(agreement.experiment, setting), agreement.metrics == "noised"
    shard_mechanism(agreement.experiment, algorithm, agreement.clients, Ledger(None), noised)


def _pad_keys(changes: Changes) -> dict[str, str]:
    names = [name for name, _ in changes.join]
    return {} if changes.pad_keys is None else read_pad_keys(changes.pad_keys, names)


def _joining(free: int, join: Sequence[tuple[str, int]]) -> tuple[Node, ...]:
    nodes = list[Node]()
    for name, clients in join:
        nodes.append(Node(name, free, clients))
        free += clients
    return tuple(nodes)


def _grown(before: Documents, file: Path) -> Catalogue:
    """The agreed items as they are, then those of a file that are new.

    Raises:
        InputError: an agreed item is missing, nothing is new, or a feature is.
    """
    table = before.agreement.table.model_copy(update={"items": str(file.resolve())})
    old, found = before.catalogue, table.catalogue(None)
    if lacking := set(old.items) - set(found.items):
        raise InputError(
            f"{file} lacks '{min(lacking)}' and {len(lacking) - 1:,} more agreed items: a "
            f"catalogue only grows, so that nobody's history loses rows; name a file of all items"
        )
    if old.features.keys() != found.features.keys():
        raise InputError(
            f"{file} has the features {sorted(found.features)}, and {sorted(old.features)} were "
            f"agreed on: give the same columns"
        )
    known = set(old.items)
    new = [place for place, name in enumerate(found.items) if name not in known]
    if not new:
        raise InputError(f"{file} holds no item that is not in the catalogue: nothing grows")

    def joined(own: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
        return (*own, *(theirs[place] for place in new))

    features = {
        name: (*own, *(found.features[name][place] for place in new))
        for name, own in old.features.items()
    }
    grown = Catalogue(
        joined(old.items, found.items), joined(old.titles, found.titles), features, old.kinds
    )
    # what cannot be made to numbers is refused here, and not at each node
    item_features(grown)
    return grown
