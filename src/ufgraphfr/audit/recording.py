"""What some clients uploaded and what was released in the rounds after a finished run."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import item_views
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import Report, State
from ufgraphfr.experiment.checkpoint import Checkpoint
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.privacy_plan import calibrate, model_in_use
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Mechanism

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class Upload:
    """What left one client in one round.

    Attributes:
        round: from 1.
        client: its id.
        tables: arrays with a row for each item, float ``[items, k]``, by name.
        texts: arrays that carry the text layer's change, float ``[k, text_width]``, by name.
    """

    round: int
    client: int
    tables: Arrays
    texts: Arrays


@dataclass(frozen=True)
class Published:
    """The sum of a round's uploads, from which everything broadcast is made.

    Attributes:
        round: from 1.
        cohort: int64, who took part.
        tables, texts: as of `Upload`, of the sum; empty if the server kept each client's own.
    """

    round: int
    cohort: Tensor
    tables: Arrays
    texts: Arrays


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, read again.

    Attributes:
        experiment, algorithm, prepared: what was run.
        checkpoint: the weights from which it goes on.
        agreed: the mechanism of a deployment, before its first release; None calibrates the run's.
    """

    experiment: Experiment
    algorithm: Algorithm
    prepared: PreparedExperiment
    checkpoint: Checkpoint
    agreed: Mechanism | None = None

    @classmethod
    def open(cls, folder: Path, data_dir: Path | None = None) -> "FinishedRun":
        """Read a run folder.

        Raises:
            InputError: not a finished federated run, or its data cannot be found or have changed.
        """
        run = Run(folder)
        experiment = run.experiment
        if not isinstance(experiment.model, Algorithm):
            raise InputError(
                f"{folder} is a run of {experiment.model.kind}, a centralised baseline: nothing "
                f"leaves a client that could be attacked; audit a federated algorithm"
            )
        prepared = run.prepared(data_dir)
        algorithm = model_in_use(experiment, prepared.setting)
        return FinishedRun(experiment, algorithm, prepared, run.checkpoint)

    @property
    def trust(self) -> str:
        """``server`` reads clients' uploads, ``shard`` holders' sums, ``secure-sum`` the total."""
        return str(getattr(self.experiment.mechanism, "trust", "server"))

    @classmethod
    def of_deployment(
        cls, folder: Path, prepared: PreparedExperiment, agreed: Mechanism
    ) -> "FinishedRun":
        """Read the run folder of a deployment's server, which holds no user's rows.

        Args:
            folder: the run folder.
            prepared: invented users in the agreed setting.
            agreed: the mechanism, before its first release.

        Raises:
            InputError: not a finished run.
        """
        run = Run(folder)
        algorithm = model_in_use(run.experiment, prepared.setting)
        return FinishedRun(run.experiment, algorithm, prepared, run.checkpoint, agreed)

    @cached_property
    def _calibrated(self) -> Mechanism:
        if self.agreed is not None:
            return self.agreed
        clients = len(self.prepared.split.warm)
        return calibrate(self.experiment, self.algorithm, clients, Ledger(None))

    def fresh_mechanism(self) -> Mechanism:
        """The run's mechanism before its first release."""
        return copy.deepcopy(self._calibrated)


@dataclass(frozen=True, kw_only=True)
class Recording(FinishedRun):
    """What attacks may read, and the truth to compare with.

    Attributes:
        mechanism: of the run, before its first release.
        rounds: how many were replayed after the checkpoint.
        victims: int64, whose uploads were recorded.
        uploads: in the order of rounds.
        published: likewise.
    """

    mechanism: Mechanism
    rounds: int
    victims: Tensor
    uploads: tuple[Upload, ...]
    published: tuple[Published, ...]

    def fresh_mechanism(self) -> Mechanism:
        """See `FinishedRun.fresh_mechanism`."""
        return copy.deepcopy(self.mechanism)

    @property
    def state(self) -> State:
        """The server's memory at the checkpoint, which was broadcast."""
        return self.checkpoint.server

    @property
    def round(self) -> int:
        """Of the checkpoint."""
        return self.checkpoint.round

    def history(self, client: int) -> Tensor:
        """Which items a client trains on, bool ``[items]``."""
        batch = self.prepared.batch
        items = batch.items[batch.ptr[client] : batch.ptr[client + 1]]
        return torch.zeros(batch.n_items, dtype=torch.bool).index_fill(0, items, True)

    def held_out(self, client: int) -> Tensor:
        """A client's items of validation and test, bool ``[items]``."""
        found = torch.zeros(self.prepared.split.n_items, dtype=torch.bool)
        for asked in (self.prepared.validation, self.prepared.test):
            own = asked.targets[asked.clients.clients == client]
            found[own[own >= 0]] = True
        return found

    @property
    def tables(self) -> list[str]:
        """The names of all item tables that victims uploaded."""
        return sorted({name for upload in self.uploads for name in upload.tables})

    def by_client(self) -> dict[int, list[Upload]]:
        """The uploads of each victim."""
        grouped: dict[int, list[Upload]] = {}
        for upload in self.uploads:
            grouped.setdefault(upload.client, []).append(upload)
        return grouped

    def repeated(self) -> Iterator[tuple[str, int, list[Tensor]]]:
        """Item tables that a client uploaded more than once: their name, the client, and they."""
        grouped = self.by_client()
        for name in self.tables:
            for client, uploads in grouped.items():
                tables = [upload.tables[name] for upload in uploads if name in upload.tables]
                if len(tables) > 1:
                    yield name, client, tables

    def last(self, table: str) -> list[Upload]:
        """Each victim's last upload that holds an item table of that name."""
        return list({u.client: u for u in self.uploads if table in u.tables}.values())


def dissect(
    report: Report, algorithm: Algorithm, prepared: PreparedExperiment
) -> tuple[Arrays, Arrays]:
    """A report's item tables and text layers, of one client or of a sum.

    Args:
        report: each client's own, of one client, or a sum.
        algorithm: knows what its arrays are.
        prepared: knows how many items there are, and how wide a text vector is.
    """
    setting = prepared.setting
    items, width = setting.items, projection(algorithm, setting).shape[1]
    dense = {name: value.dense() for name, value in report.arrays.items()}
    tables: Arrays = {}
    texts: Arrays = {}
    for name, view in item_views(algorithm, dense, setting, report.round).items():
        one = view[0].detach().float().cpu()
        if one.shape[:1] == (items,):
            tables[name] = one.flatten(1) if one.dim() > 1 else one[:, None]
        elif one.shape[:1] == (width,) and one.dim() == 2:
            texts[name] = one.T.contiguous()
        elif one.dim() == 1 and len(one) % width == 0 and len(one) > 0:
            texts[name] = one.view(-1, width)
    return tables, texts


def projection(algorithm: Algorithm, setting: Setting) -> Tensor:
    """From profile vectors to what a text layer reads, public, float ``[text_width, width]``."""
    state = algorithm.init_server(setting)
    return state.get("projection", torch.eye(setting.text_width))
