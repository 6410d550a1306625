"""A client's profile, from the change of its text layer, with a dictionary of all profiles.

A layer that reads one fixed vector x changes by g x^T: its singular vector is the embedded profile.
Profiles are few (age, gender, occupation), so the attacker embeds them all and takes the nearest.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.audit.attacks.base import Attack, Finding, over_clients
from ufgraphfr.audit.bounds import measured_auc
from ufgraphfr.audit.recording import Recording, projection
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.data.profiles import every_profile
from ufgraphfr.data.templates import person
from ufgraphfr.text import embed


class Attributes(Attack):
    """Finds the profile whose vector lies nearest."""

    question: ClassVar[str] = "a client's profile, from the text layer"
    otherwise: ClassVar[str] = "no text layer was uploaded"

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        vectors: dict[int, Tensor] = {}
        for client, uploads in recording.by_client().items():
            layers = [layer for upload in uploads for layer in upload.texts.values()]
            if layers:
                vectors[client] = direction(layers)
        if not vectors:
            return []
        clients = list(vectors)
        dataset = recording.prepared.dataset
        profiles, texts = dictionary(dataset)
        table = torch.from_numpy(embed(recording.experiment.encoder, texts))
        table = table @ projection(recording.algorithm, recording.prepared.setting)
        found = F.normalize(torch.stack(list(vectors.values())), dim=1)
        cosines = found @ F.normalize(table, dim=1).T
        # embedded profiles lie on one side of the origin
        cosines = torch.where(cosines.mean(1, keepdim=True) < 0, -cosines, cosines)
        right = [
            float(texts[int(best)] == dataset.users.texts[client])
            for client, best in zip(clients, cosines.argmax(1), strict=True)
        ]
        exact = over_clients(right)
        note = f"dictionary of {len(texts):,} profiles, {len(clients)} clients"
        what = "whole profile named exactly"
        findings = [Finding("upload", what, exact.value, exact.low, 1 / len(texts), note=note)]
        return findings + _gender(cosines, profiles, dataset, clients, note)


def direction(layers: list[Tensor]) -> Tensor:
    """The direction that all rows of some rank-one layers share, float ``[text_width]``.

    Its sign is arbitrary.
    """
    rows = torch.cat([layer.double() for layer in layers])
    if len(rows) <= rows.shape[1]:
        vector = rows.T @ torch.linalg.eigh(rows @ rows.T).eigenvectors[:, -1]
    else:
        vector = torch.linalg.eigh(rows.T @ rows).eigenvectors[:, -1]
    return F.normalize(vector, dim=0).float()


def dictionary(dataset: Dataset) -> tuple[list[dict[str, str]], list[str]]:
    """All profiles an attacker would think of, and their sentences.

    Every combination of the data set's ages, genders and occupations where its sentences are made
    of those, else the sentences of its users.
    """
    space = every_profile(dataset)
    if space is not None:
        return space, [person(profile) for profile in space]
    pairs = dict(zip(dataset.users.texts, dataset.users.profiles, strict=True))
    return list(pairs.values()), list(pairs)


def _gender(
    cosines: Tensor, profiles: list[dict[str, str]], dataset: Dataset, clients: list[int], note: str
) -> list[Finding]:
    """AUC of telling women from men by the nearest profile of either kind."""
    women = torch.tensor([profile.get("gender") == "female" for profile in profiles])
    truth = torch.tensor([dataset.users.profiles[c].get("gender") == "female" for c in clients])
    if not bool(truth.any()) or bool(truth.all()) or not bool(women.any()):
        return []
    scores = cosines[:, women].amax(1) - cosines[:, ~women].amax(1)
    value = measured_auc(scores, truth)
    return [Finding("upload", "gender: AUC", value.value, value.low, 0.5, note=note)]
