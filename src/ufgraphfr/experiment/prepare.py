"""From an experiment to what it trains on: data set, split, and everybody's shard."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ufgraphfr.algorithms.base import Algorithm, Setting
from ufgraphfr.algorithms.capabilities import asks_for_item_text
from ufgraphfr.core.allocator import give_back_freed_memory
from ufgraphfr.core.derived import DataFacts
from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.data.client_batches import ClientBatch, build
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.facts import facts_of
from ufgraphfr.data.features import item_features
from ufgraphfr.data.given import given
from ufgraphfr.data.global_time import global_time
from ufgraphfr.data.interactions import Cleaning, Interactions
from ufgraphfr.data.split import Split, leave_one_out
from ufgraphfr.data.unasked import told, unasked
from ufgraphfr.evaluation.protocol import EvaluationSet
from ufgraphfr.experiment.config import Experiment, ProtocolSpec
from ufgraphfr.text import embed, embed_distinct

logger = logging.getLogger(__name__)

DIGESTS = ("digest", "sha256")
"""Of all the data, and of the interactions alone; the second is all that old runs know."""


@dataclass(frozen=True)
class PreparedExperiment:
    """What an experiment trains on and is asked; for ``origin`` see `Source.origin`."""

    dataset: Dataset
    split: Split
    batch: ClientBatch
    setting: Setting
    origin: str

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What a result says of the data."""
        rows = self.dataset.interactions
        return {
            "name": self.dataset.card.name,
            "users": rows.n_users,
            "items": rows.n_items,
            "interactions": len(rows),
            "sha256": self.dataset.sha256,
            "digest": self.dataset.digest,
            "left_out": unasked(self.split),
        }

    @property
    def public_facts(self) -> DataFacts:
        """What settings may be derived from."""
        return facts_of(self.dataset.interactions, len(self.split.warm))

    @cached_property
    def validation(self) -> EvaluationSet:
        """Who is asked for the validation, and for what."""
        return EvaluationSet.of(self.batch, self.split, "validation")

    @cached_property
    def test(self) -> EvaluationSet:
        """Who is asked for the test, and for what."""
        return EvaluationSet.of(self.batch, self.split, "test")


def same_data(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two results are on the same data, as far as both say what they are on."""
    return not data_difference(one, other)


def data_difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The digests in which the data of two results differ; empty if they are the same."""
    if "keyed" in there:
        return "" if there["keyed"] == here.get("keyed") else "by their keyed digests"
    versions = [side.get("digest", "").partition(":") for side in (there, here)]
    # digests of two versions say nothing of each other, and the interactions must do
    both = all(value for _, _, value in versions) and versions[0][0] == versions[1][0]
    name = "digest" if both else "sha256"
    if there[name] == here[name]:
        return ""
    return f"{name} {there[name][:12]}... there, {here[name][:12]}... here"


def prepare(experiment: Experiment, data_dir: Path | None = None) -> PreparedExperiment:
    """Load, split and embed; for ``data_dir`` see `Source.load`.

    Raises:
        InputError: data or encoder are missing, or a row is bad.
    """
    source = experiment.located_source(data_dir)
    return arranged(experiment, source.load_again(data_dir), source.origin)


def arranged(experiment: Experiment, dataset: Dataset, origin: str = "") -> PreparedExperiment:
    """Split and embed a data set; for ``origin`` see `Source.origin`.

    Raises:
        InputError: the encoder is missing, or nobody can be asked.
    """
    rows, catalogue = dataset.interactions, dataset.catalogue
    left_out = "nothing left out" if dataset.cleaning == Cleaning() else dataset.cleaning
    logger.info(
        f"{dataset.card.name}: {rows.n_users:,} users, {rows.n_items:,} items, "
        f"{len(rows):,} interactions; {left_out}"
    )
    _check_declared(dataset, experiment.source.profile_values)
    split = _split(rows, experiment)
    for sentence in told(split):
        logger.warning(f"{dataset.card.name}: {sentence}")
    sentences = embed_distinct(experiment.encoder, dataset.users.texts)
    text, text_of = (torch.from_numpy(each) for each in sentences)
    batch = build(split, text, experiment.protocol.negatives, rows.sequential, text_of)
    # what was made on the way would be held as long as this process
    give_back_freed_memory()
    return PreparedExperiment(
        dataset=dataset,
        split=split,
        batch=batch,
        setting=Setting(
            items=rows.n_items,
            clients=rows.n_users,
            text_width=text.shape[1],
            seed=experiment.seed,
            features=item_features(catalogue),
            item_text=item_text(experiment, rows.n_users, catalogue),
            sequential=rows.sequential,
            profiles=declared_profiles(experiment, rows.n_users),
        ),
        origin=origin,
    )


def item_text(
    experiment: Experiment,
    clients: int,
    catalogue: Catalogue,
) -> torch.Tensor | None:
    """Embedded titles, genres and texts, where the model or a budget asks for them."""
    if not item_text_is_asked_for(experiment, clients):
        return None
    texts = [
        f"{title}. {', '.join(own)}" if own else title
        for title, own in zip(catalogue.titles, catalogue.words, strict=True)
    ]
    return torch.from_numpy(embed(experiment.encoder, texts))


def item_text_is_asked_for(experiment: Experiment, clients: int) -> bool:
    """Whether the model or a budget asks for embedded titles."""
    model = experiment.model
    asked = isinstance(model, Algorithm) and asks_for_item_text(model)
    return asked or experiment.mechanism.budget(clients) is not None


def declared_profiles(experiment: Experiment, clients: int) -> torch.Tensor | None:
    """Embedded sentences of all declared profiles, where a budget asks for them."""
    texts = experiment.source.every_text()
    if not texts or experiment.mechanism.budget(clients) is None:
        return None
    return torch.from_numpy(embed(experiment.encoder, texts))


def _check_declared(dataset: Dataset, values: Mapping[str, object]) -> None:
    """Declared values are of fields that profiles have."""
    known = {name: None for profile in dataset.users.profiles for name in profile}
    for name in values:
        if name not in known:
            raise InputError(
                f"[data.profile_values] {name}: no profile of '{dataset.card.name}' has it: "
                f"{nearest(name, known)}"
            )


def _split(rows: Interactions, experiment: Experiment) -> Split:
    protocol = experiment.protocol
    most = experiment.evaluation.asked(rows.n_users)
    if protocol.split == "leave-one-out":
        split = leave_one_out(
            rows,
            protocol.cold_users,
            protocol.cold_items,
            cold_least=protocol.cold_least,
            cold_fold=protocol.cold_fold,
            targets=protocol.targets,
            most_asked=most,
        )
        _check_kept_out(split, protocol)
    elif protocol.split == "given":
        # published figures are of everybody, and a sample is asked for by name
        most = most if experiment.evaluation.users else None
        split = given(rows, most)
    else:
        until = protocol.train_until, protocol.validate_until
        split = global_time(rows, *until, protocol.targets, most)
    _tell_asked(split, protocol, most)
    return split


def _tell_asked(split: Split, protocol: ProtocolSpec, most: int | None) -> None:
    """Say how many are asked, where it is not everybody who trains."""
    validated, tested = len(split.asked("validation")), len(split.asked("test"))
    if protocol.split != "leave-one-out":
        logger.info(
            f"{protocol.split}: {len(split.warm):,} of {split.n_users:,} users train; "
            f"{validated:,} are asked for the validation, {tested:,} for the test"
        )
    if most is not None:
        logger.info(
            f"[evaluation] users = {most:,}: a sample of the users, drawn by a fixed seed, is "
            f"asked for validation and test"
        )


def _check_kept_out(split: Split, protocol: ProtocolSpec) -> None:
    """Somebody can be asked, also for what is kept out on purpose.

    Raises:
        InputError: nobody can.
    """
    asked = split.asked("test")
    if not len(asked):
        raise InputError(
            f"nobody can be asked for the test: every user who trains has all {split.n_items:,} "
            f"items, or nobody trains; choose other shares cold_users and cold_items, or more data"
        )
    if protocol.cold_items and not np.diff(split.cold_item_ptr)[asked].any():
        raise InputError(
            f"cold_items = {protocol.cold_items} keeps {len(split.cold_items):,} items out, and "
            f"nobody who is asked for the test has one: raise the share"
        )
    if protocol.cold_users and not len(split.cold_users):
        logger.warning(
            f"cold_users = {protocol.cold_users} keeps nobody out: too few users have "
            f"{protocol.cold_least} items (cold_least)"
        )
