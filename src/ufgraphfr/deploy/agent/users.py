"""A shard's users, as training and evaluation read them."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.data.split import Split, leave_one_out
from ufgraphfr.deploy.agent.store import Rows, ShardStore
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.text import embed


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


def read_users(store: ShardStore, agreement: Agreement, catalogue: Catalogue) -> ShardUsers | None:
    """The users of a shard, split as the protocol says; None if there are none yet."""
    rows = store.rows()
    if len(rows.clients) == 0:
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
    split = leave_one_out(interactions, user_ids=rows.clients)
    clients = torch.from_numpy(rows.clients)
    batch = build(split, torch.from_numpy(rows.texts), agreement.experiment.protocol.negatives)
    return ShardUsers(clients, split, replace(batch, clients=clients))


def import_table(
    store: ShardStore,
    agreement: Agreement,
    catalogue: Catalogue,
    node: str,
    interactions: Path,
    users: Path | None,
) -> tuple[int, int]:
    """Load users' data, with the checks of the ``table`` source.

    Args:
        store: where to.
        agreement: says which column holds what, and which client ids this node may give out.
        catalogue: the items there are.
        node: name of this node.
        interactions: their file.
        users: the file of their attributes, if there is one.

    Returns:
        How many users and how many interactions are new.

    Raises:
        InputError: a bad row, an item that is not in the catalogue, or too many users.
    """
    files = {"interactions": str(interactions), "users": str(users) if users else ""}
    changes = files if users else files | {"template": ""}
    dataset = TableSource(**(agreement.table.model_dump() | changes)).load(Path())
    item_ids = {name: item for item, name in enumerate(catalogue.items)}
    unknown = [name for name in dataset.catalogue.items if name not in item_ids]
    if unknown:
        raise InputError(
            f"{interactions}: item '{unknown[0]}' is not in the catalogue ({len(unknown):,} such "
            f"items): take these rows out, or agree on a larger catalogue"
        )
    # the usual cache would keep users' profiles outside of the shard
    with tempfile.TemporaryDirectory() as cache:
        texts = embed(agreement.experiment.encoder, dataset.users.texts, Path(cache))
    agreed_items = np.array([item_ids[name] for name in dataset.catalogue.items], np.int64)
    rows = Rows(
        clients=np.arange(dataset.interactions.n_users),
        names=dataset.users.names,
        texts=texts,
        user=dataset.interactions.user,
        item=agreed_items[dataset.interactions.item],
        time=dataset.interactions.timestamp,
    )
    here = agreement.node(node)
    return store.add(rows, here.first, here.clients)
