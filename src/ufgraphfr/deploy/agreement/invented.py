"""Invented users over the agreed items: what can be played where no user's rows are at hand."""

from dataclasses import dataclass

import numpy as np
import torch

from ufgraphfr.data.client_batches import build
from ufgraphfr.data.dataset import Card, Dataset, Users
from ufgraphfr.data.interactions import MIN_INTERACTIONS, Interactions
from ufgraphfr.data.split import leave_one_out
from ufgraphfr.deploy.agreement.chain import Documents
from ufgraphfr.deploy.agreement.guarantee import calibrate_agreed
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.experiment.privacy_plan import model_in_use
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Mechanism

USERS = 8
"""That are invented."""


@dataclass(frozen=True)
class Invented:
    """What was agreed on, with invented users.

    Attributes:
        prepared: some users with the shortest history, in the agreed setting.
        mechanism: as it was agreed on, before its first release.
    """

    prepared: PreparedExperiment
    mechanism: Mechanism


def invented(documents: Documents) -> Invented:
    """Invent users for an agreement.

    Args:
        documents: the agreement and its catalogue.

    Raises:
        InputError: the catalogue has too few items for a history, or the encoder is missing.
    """
    agreement, catalogue = documents
    experiment, items = agreement.experiment, len(catalogue.items)
    each = min(items, MIN_INTERACTIONS)
    user = np.repeat(np.arange(USERS), each)
    rows = Interactions(
        user=user,
        item=(np.tile(np.arange(each), USERS) + user) % items,
        timestamp=None,
        n_users=USERS,
        n_items=items,
        sequential=bool(agreement.table.sequential),
        name="invented users",
    )
    split = leave_one_out(rows, targets=experiment.protocol.targets)
    setting = agreement.setting(catalogue, embed_titles=True)
    texts = torch.zeros(USERS, setting.text_width)
    named = Users(tuple(map(str, range(USERS))), ({},) * USERS, ("",) * USERS)
    prepared = PreparedExperiment(
        dataset=Dataset(Card("invented", "Invented users"), rows, named, catalogue),
        split=split,
        batch=build(split, texts, experiment.protocol.negatives, rows.sequential),
        setting=setting,
        origin="",
    )
    mechanism = calibrate_agreed(
        experiment,
        model_in_use(experiment, setting),
        agreement.clients,
        Ledger(None),
        agreement.metrics == "noised",
    )
    return Invented(prepared, mechanism)
