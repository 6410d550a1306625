"""What some clients uploaded and what was released in the rounds after a finished run."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import item_views
from ufgraphfr.core.messages import Report, State
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.privacy_plan import calibrate
from ufgraphfr.federation.private_state import PrivateState
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
class Recording:
    """What attacks may read, and the truth to compare with.

    Attributes:
        experiment, algorithm, mechanism, prepared: of the run.
        trust: ``server`` reads single clients' uploads, ``shard`` only their holders' sums.
        state: the server's memory at the checkpoint, which was broadcast.
        private_state: the clients' weights there.
        round: of the checkpoint.
        rounds: how many were replayed after it.
        victims: int64, whose uploads were recorded.
        uploads: in the order of rounds.
        published: likewise.
    """

    experiment: Experiment
    algorithm: Algorithm
    mechanism: Mechanism
    trust: str
    prepared: PreparedExperiment
    state: State
    private_state: PrivateState
    round: int
    rounds: int
    victims: Tensor
    uploads: tuple[Upload, ...]
    published: tuple[Published, ...]

    def fresh_mechanism(self, of_one_holder: bool = False) -> Mechanism:
        """The run's mechanism before its first release.

        Args:
            of_one_holder: with the noise that one of several data holders adds.
        """
        spec = self.experiment.mechanism
        changed = spec.model_copy(update={"shards": 1}) if of_one_holder else spec
        experiment = replace(self.experiment, mechanism=changed)
        return calibrate(experiment, self.algorithm, len(self.prepared.split.warm), Ledger(None))

    def history(self, client: int) -> Tensor:
        """Which items a client trains on, bool ``[items]``."""
        batch = self.prepared.batch
        items = batch.items[batch.ptr[client] : batch.ptr[client + 1]]
        return torch.zeros(batch.n_items, dtype=torch.bool).index_fill(0, items, True)

    def held_out(self, client: int) -> Tensor:
        """A client's validation and test item, bool ``[items]``."""
        split = self.prepared.split
        items = torch.tensor([int(split.validation[client]), int(split.test[client])])
        items = items[items >= 0]
        return torch.zeros(split.n_items, dtype=torch.bool).index_fill(0, items, True)

    def by_client(self) -> dict[int, list[Upload]]:
        """The uploads of each victim."""
        grouped: dict[int, list[Upload]] = {}
        for upload in self.uploads:
            grouped.setdefault(upload.client, []).append(upload)
        return grouped

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


def nbytes(*parts: Arrays) -> int:
    """The memory of some arrays."""
    return sum(value.numel() * value.element_size() for part in parts for value in part.values())
