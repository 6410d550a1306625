"""What a shard holds, as training and evaluation read it."""

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
class Held:
    """A shard's users.

    Attributes:
        numbers: int64 ``[users]``, ascending.
        split: in places among ``numbers``.
        shard: in the same order; its ``clients`` are the numbers.
    """

    numbers: Tensor
    split: Split
    shard: ClientBatch


def read_held(store: ShardStore, agreement: Agreement, catalogue: Catalogue) -> Held | None:
    """The users of a shard, split as the protocol says; None if there is nobody yet."""
    rows = store.rows()
    if len(rows.numbers) == 0:
        return None
    interactions = Interactions(
        user=rows.user,
        item=rows.item,
        timestamp=rows.time,
        n_users=len(rows.numbers),
        n_items=len(catalogue.items),
        sequential=agreement.table.sequential,
        name="shard",
    )
    split = leave_one_out(interactions, user_ids=rows.numbers)
    numbers = torch.from_numpy(rows.numbers)
    shard = build(split, torch.from_numpy(rows.vectors), agreement.experiment.protocol.negatives)
    return Held(numbers, split, replace(shard, clients=numbers))


def import_table(
    store: ShardStore,
    agreement: Agreement,
    catalogue: Catalogue,
    node: str,
    interactions: Path,
    users: Path | None,
) -> tuple[int, int]:
    """Load users' data through the same border as the ``table`` source.

    Args:
        store: where to.
        agreement: says which column holds what, and which numbers this node may give out.
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
    number = {name: place for place, name in enumerate(catalogue.items)}
    strange = [name for name in dataset.catalogue.items if name not in number]
    if strange:
        raise InputError(
            f"{interactions}: item '{strange[0]}' is not in the catalogue ({len(strange):,} such "
            f"items): take these rows out, or agree on a larger catalogue"
        )
    # the usual cache would keep what is known of people outside the shard
    with tempfile.TemporaryDirectory() as nowhere:
        vectors = embed(agreement.experiment.encoder, dataset.users.texts, Path(nowhere))
    renumbered = np.array([number[name] for name in dataset.catalogue.items], np.int64)
    rows = Rows(
        numbers=np.arange(dataset.interactions.n_users),
        names=dataset.users.names,
        vectors=vectors,
        user=dataset.interactions.user,
        item=renumbered[dataset.interactions.item],
        time=dataset.interactions.timestamp,
    )
    own = agreement.node(node)
    return store.add(rows, own.first, own.clients)
