"""The same data with one user changed: another history, another profile, another sentence."""

from collections import Counter
from dataclasses import replace

import numpy as np

from ufgraphfr.data.dataset import Dataset

LEAST = 5
"""Rows that are kept of a changed history, so that the user is still asked."""


def with_one_user_changed(dataset: Dataset) -> Dataset:
    """Change the user whose profile is rarest, of those with a history long enough.

    What is worked out from people's attributes (which values there are, say) shows best there. The
    history is cut in half, and its items become some that the user never had.
    """
    rows, users = dataset.interactions, dataset.users
    seen = Counter(pair for profile in users.profiles for pair in profile.items())
    rarity = np.array([min((seen[p] for p in own.items()), default=0) for own in users.profiles])
    counts = np.bincount(rows.user, minlength=rows.n_users)
    able = np.flatnonzero(counts >= min(2 * LEAST, counts.max()))
    changed = int(able[rarity[able].argmin()])
    common = int(np.delete(rarity, changed).argmax()) if rows.n_users > 1 else changed
    common += common >= changed
    own = np.flatnonzero(rows.user == changed)
    kept = own[: max(LEAST, len(own) // 2)]
    fresh = np.setdiff1d(np.arange(rows.n_items), rows.item[own])
    item = rows.item.copy()
    item[kept] = np.concatenate((fresh, rows.item[own]))[: len(kept)]
    left = np.ones(len(rows), bool)
    left[np.setdiff1d(own, kept)] = False
    stamps = None if rows.timestamp is None else rows.timestamp[left]
    interactions = replace(rows, user=rows.user[left], item=item[left], timestamp=stamps)

    profiles, texts = list(users.profiles), list(users.texts)
    profiles[changed], texts[changed] = profiles[common], texts[common]
    people = replace(users, profiles=tuple(profiles), texts=tuple(texts))
    return replace(dataset, interactions=interactions, users=people)
