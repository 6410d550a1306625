"""A shard's users, as training and evaluation read them."""

import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.interactions import MIN_INTERACTIONS, Cleaning, Interactions
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.data.split import Split, leave_one_out
from ufgraphfr.data.unasked import told
from ufgraphfr.deploy.agent.interactions import Rows
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.text import Encoder, embed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardUsers:
    """A shard's users, all in the order of their ids.

    Attributes:
        clients: int64 ``[users]``, client ids, ascending.
        split: who trains on what; it counts users from 0.
        batch: what each client holds.
    """

    clients: Tensor
    split: Split
    batch: ClientBatch


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        users, interactions: how many are new.
        there: rows whose user and item were here before.
        profiles: users who were here and whose profile is another one now.
        strangers: profiles in the table of users of whom there are no interactions.
        undescribed: new users without a profile, where the agreement asks for one.
        waiting: users of the shard who have too few interactions to take part yet.
        cleaning: what was left out of the table.
    """

    users: int
    interactions: int
    there: int
    profiles: int
    strangers: int
    undescribed: int
    waiting: int
    cleaning: Cleaning

    def lines(self) -> list[str]:
        """For people."""
        counts = {
            "bad rows left out": self.cleaning.bad_rows,
            "rows of low ratings left out": self.cleaning.low_ratings,
            "repeated (user, item) rows of the table left out": self.cleaning.repeated_pairs,
            "rows were here already": self.there,
            "profiles were replaced": self.profiles,
            "profiles are of users without interactions, and were left out": self.strangers,
            "new users have no profile, which the agreement's sentences ask for: give --users": (
                self.undescribed
            ),
            f"users wait until they have {MIN_INTERACTIONS} interactions": self.waiting,
        }
        users = "1 new user" if self.users == 1 else f"{self.users:,} new users"
        told = [f"{count:,} {what}" for what, count in counts.items() if count]
        return [f"{users}, {self.interactions:,} new interactions", *told]


def read_users(
    store: ShardStore, agreement: Agreement, catalogue: Catalogue, run: str = ""
) -> ShardUsers | None:
    """The users of a shard, split as the protocol says; None if there are none yet.

    With a ``run`` those who are in it.
    """
    rows = store.rows(run=run, items=len(catalogue.items))
    if len(rows.clients) == 0 or len(rows.user) == 0:
        return None
    interactions = Interactions(
        user=rows.user,
        item=rows.item,
        timestamp=rows.time,
        n_users=len(rows.clients),
        n_items=len(catalogue.items),
        sequential=bool(agreement.table.sequential),
        name="shard",
    )
    protocol = agreement.experiment.protocol
    split = leave_one_out(interactions, user_ids=rows.clients, targets=protocol.targets)
    for sentence in told(split):
        logger.info(sentence)
    clients = torch.from_numpy(rows.clients)
    texts = torch.from_numpy(rows.texts)
    batch = build(split, texts, protocol.negatives, interactions.sequential)
    return ShardUsers(clients, split, replace(batch, clients=clients))


def _rows(dataset: Dataset, texts: NDArray[np.float32], items: NDArray[np.int64]) -> Rows:
    """A table's rows, with the agreed numbers of its items."""
    return Rows(
        clients=np.arange(dataset.interactions.n_users),
        names=tuple(dataset.users.names),
        texts=texts,
        user=dataset.interactions.user,
        item=items[dataset.interactions.item],
        time=dataset.interactions.timestamp,
    )


def import_table(
    store: ShardStore,
    agreement: Agreement,
    catalogue: Catalogue,
    node: str,
    interactions: Path,
    users: Path | None,
) -> Imported:
    """Load users' data, with the checks of the ``table`` source.

    Args:
        store: where to.
        agreement: says which column holds what, and which client ids this node may give out.
        catalogue: the items there are.
        node: name of this node.
        interactions: their file.
        users: the file of their attributes, if there is one.

    Returns:
        What is new, and what was left out.

    Raises:
        InputError: a bad row, an item that is not in the catalogue, times unlike those that are
            here, too many users, or data with which no round could work; nothing is imported.
    """
    dataset = _read(agreement, interactions, users)
    agreed_items = _agreed_items(dataset, catalogue, interactions)
    # the usual cache would keep users' profiles outside of the shard
    with tempfile.TemporaryDirectory() as cache:
        texts = embed(agreement.experiment.encoder, dataset.users.texts, Path(cache))
        described = _described(dataset, agreement.experiment.encoder, Path(cache))
    rows = _rows(dataset, texts, agreed_items)
    here, before = agreement.node(node), set(store.names())
    # what a round would refuse is told now, and one user's data never take the node away
    new = store.add(
        rows, here.first, here.clients, check=lambda: read_users(store, agreement, catalogue)
    )
    names = set(store.names())
    lacking = (names - before - described.keys()) if agreement.table.template else ()
    return Imported(
        *new,
        there=len(dataset.interactions) - new[1],
        profiles=store.describe(described),
        strangers=len(described.keys() - names),
        undescribed=len(lacking),
        waiting=store.waiting(),
        cleaning=dataset.cleaning,
    )


def _read(agreement: Agreement, interactions: Path, users: Path | None) -> Dataset:
    """The tables, as the agreement says they are read."""
    files = {"interactions": str(interactions), "users": str(users) if users else ""}
    changes = files if users else files | {"template": ""}
    table = TableSource(**(agreement.table.model_dump() | changes))
    # a rule for all of somebody's data says nothing of one file of them
    return table.model_copy(update={"min_user": 1, "min_item": 1, "k_core": 0}).load(Path())


def _described(dataset: Dataset, encoder: Encoder, cache: Path) -> dict[str, NDArray[np.float32]]:
    """The embedded profile of everybody in the table of users, also of those without rows."""
    users, others = dataset.users, dataset.untrained
    texts = {
        name: text
        for name, profile, text in zip(users.names, users.profiles, users.texts, strict=True)
        if profile
    }
    texts |= {name: others.text(name) for name in others.profiles}
    return dict(zip(texts, embed(encoder, list(texts.values()), cache), strict=True))


def _agreed_items(dataset: Dataset, catalogue: Catalogue, file: Path) -> NDArray[np.int64]:
    """The agreement's number of each of a table's items."""
    item_ids = {name: item for item, name in enumerate(catalogue.items)}
    unknown = [name for name in dataset.catalogue.items if name not in item_ids]
    if unknown:
        known = np.isin(dataset.catalogue.items, catalogue.items)[dataset.interactions.item]
        raise InputError(
            f"{file}: item '{unknown[0]}' is not in the catalogue ({len(unknown):,} such "
            f"items), which holds '{catalogue.items[0]}': {known.sum():,} of {len(known):,} rows "
            f"found their item; take the others out, or agree on a larger catalogue"
        )
    return np.array([item_ids[name] for name in dataset.catalogue.items], np.int64)
