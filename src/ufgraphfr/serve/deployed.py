"""What recommends in a deployment: a node's shard for its users, the server's run for anybody.

A node has a release of the model, its users' histories and their private weights. The server has
the model, and nobody's data.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import Private, Task
from ufgraphfr.data.absence import last_seen
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.histories import by_time
from ufgraphfr.data.interactions import Interactions
from ufgraphfr.data.sources.table import TableSource
from ufgraphfr.data.templates import attributes
from ufgraphfr.data.untrained import Untrained
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.interactions import Rows
from ufgraphfr.deploy.agent.models import Models, PublishedModel
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agreement.chain import Documents, read_documents
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.participants import documents_of_run
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.ops.grown import grown
from ufgraphfr.serve.known import KnownUsers
from ufgraphfr.serve.model import Model
from ufgraphfr.serve.new_items import cold_items, with_new_items
from ufgraphfr.text import Encoder

Scored = TypeVar("Scored")


class Parts(NamedTuple):
    """What a `Recommender` is made of."""

    catalogue: Catalogue
    known: KnownUsers
    model: Model
    encoder: Encoder


def at_server(run: Run, data_dir: Path | None = None) -> Parts:
    """The model of a deployment's run, for histories that are handed in.

    Raises:
        InputError: its folder is not as it was, or data are named, which it has none of.
    """
    if data_dir is not None:
        raise InputError(
            f"{run.folder} was trained on data that stay at their nodes: leave --data-dir out"
        )
    folder = _server(run)
    agreement, catalogue = trained = documents_of_run(folder)
    setting = agreement.setting(catalogue, embed_titles=False)
    newest = _newest(trained, read_documents(folder.agreement, folder.catalogue))
    known = _nobody(
        agreement,
        newest.catalogue,
        "users and their histories are at the nodes, whose agents recommend to them "
        "(ufgraphfr agent recommend); here give a history",
    )
    model = Model.of(run, setting)
    if model_in_use(agreement.experiment, setting).init_private(
        setting, known.batch.with_own_text()
    ):
        model = replace(model, personal=agreement.algorithm.kind)
    model = with_new_items(model, len(catalogue.items), newest)
    return Parts(newest.catalogue, known, model, agreement.experiment.encoder)


def at_node(folder: ShardFolder) -> Parts:
    """The release that a node serves, for its users and for histories that are handed in.

    Raises:
        InputError: nothing was signed off here, no release has come, or it is damaged.
    """
    if not folder.is_signed:
        raise InputError(f"{folder.agreement} is not signed off: nothing is served under it")
    models = Models(folder.models)
    if models.current is None or not folder.database.exists():
        lacking = "users" if models.current else "release of the model"
        raise InputError(
            f"{folder.path} has no {lacking} yet: agent import brings users, and the server sends "
            f"a release when its run ends, or when its operator says deploy publish"
        )
    published, store = models.load(models.current), ShardStore(folder.database)
    agreement, catalogue = trained = folder.documents_of(published.release.agreement)
    setting = agreement.setting(catalogue, embed_titles=False)
    algorithm = model_in_use(agreement.experiment, setting)
    newest = _newest(trained, Documents(*folder.signed()[1:]))
    rows = store.rows(waiting=True, items=len(newest.catalogue.items))
    known = _known(agreement, newest.catalogue, rows, published.personal.clients)
    trained_on = known.batch.with_own_text().of_the_first(len(catalogue.items))
    private = algorithm.init_private(setting, trained_on)
    if private or published.personal.personal:
        known, private = _personal(known, private, published, store)
    clients = known.batch.clients
    devices = _Devices(published, clients, private)
    model = Model.of_devices(algorithm, setting, devices, bool(private))
    model = with_new_items(model, len(catalogue.items), newest)
    return Parts(newest.catalogue, known, model, agreement.experiment.encoder)


def _newest(trained: Documents, now: Documents) -> Documents:
    """With the items that came since, where the model has a way to score them."""
    return now if cold_items(now.agreement) is not None else trained


def _personal(
    known: KnownUsers, private: Private, published: PublishedModel, store: ShardStore
) -> tuple[KnownUsers, Private]:
    """Of the users those who have weights of their own, and these; others' begin with nothing."""
    release, clients = published.release, known.batch.clients
    stored, here = store.weights(release.run, release.round + 1, clients), known.trained
    if not published.personal.personal:
        # who was left out of the release's run has weights of one before
        here = here | torch.isin(clients, torch.tensor(list(stored), dtype=torch.long))
    places = {client: place for place, client in enumerate(clients[here].tolist())}
    chosen = {name: value[here] for name, value in private.items()}
    for client in stored.keys() & places.keys():
        for name, value in stored[client].items():
            place = places[client]
            chosen[name][place] = grown(chosen[name][place], value)
    return known.select(here), chosen


@dataclass(frozen=True)
class _Devices:
    """See `Devices`: a release, and the private weights of a node's users."""

    published: PublishedModel
    clients: Tensor
    private: Private

    def __call__(
        self, question: Callable[[Task, ClientBatch, Private], Scored], inputs: ClientBatch
    ) -> Scored:
        """Where there are private weights, only users of the node are asked for."""
        places = torch.searchsorted(self.clients, inputs.clients)
        own = {name: value[places] for name, value in self.private.items()}
        return question(self.published.task(inputs.clients), inputs, own)


def _known(agreement: Agreement, catalogue: Catalogue, rows: Rows, trained: Tensor) -> KnownUsers:
    """The users of a shard."""
    nobody = _nobody(
        agreement,
        catalogue,
        "agent import brings users; a model with weights of each user's own serves those who were "
        "here when it was published",
    )
    users, items = len(rows.clients), len(catalogue.items)
    ptr, history, seen = np.zeros(users + 1, np.int64), rows.item, None
    if len(rows.item):
        ordered = nobody.batch.ordered
        data = Interactions(rows.user, rows.item, rows.time, users, items, ordered)
        ptr, history = by_time(data, rows.clients)
        seen = last_seen(data)
    clients = torch.from_numpy(rows.clients)
    batch = replace(
        nobody.batch,
        clients=clients,
        ptr=torch.from_numpy(ptr),
        items=torch.from_numpy(history),
        excluded_ptr=torch.zeros(users + 1, dtype=torch.long),
        text=torch.from_numpy(rows.texts),
    )
    there = torch.isin(clients, trained)
    return replace(nobody, names=rows.names, batch=batch, trained=there, last_seen=seen)


def _nobody(agreement: Agreement, catalogue: Catalogue, others: str) -> KnownUsers:
    """No user, and what a profile may say."""
    source, none = agreement.experiment.source, torch.zeros(0, dtype=torch.long)
    bounds, width = torch.zeros(1, dtype=torch.long), agreement.experiment.encoder.width
    text, ordered = torch.zeros(0, width), bool(agreement.table.sequential)
    batch = ClientBatch(none, bounds, none, bounds, none, text, len(catalogue.items), ordered)
    template = source.template if isinstance(source, TableSource) else ""
    declared = {name: tuple[str, ...]() for _, name, _, _ in Formatter().parse(template) if name}
    declared |= {name: tuple(map(str, own)) for name, own in source.profile_values.items()}
    return KnownUsers(
        names=(),
        batch=batch,
        trained=torch.zeros(0, dtype=torch.bool),
        untrained=Untrained(describe=source.describe, unknown=attributes({})),
        others=others,
        stranger=agreement.clients,
        declared=declared,
        any_profile=not declared,
    )


def _server(run: Run) -> ServerFolder:
    return ServerFolder(run.folder.resolve().parent)
