"""What FedPerGNN's matching server learns of users whose item names are in a cipher.

The server has each user's ciphers, as the real model sends them. Half of the users are somebody
else's, of whom it knows everything, names of items included (a public data set of the same kind);
of the other half it has ciphers alone. Names are guessed by popularity, the most frequent cipher
being the most frequent item; and, where the items of one user are known too, by company: ciphers
and items are assigned by how often they are had together with those that are known, and again with
the frequent ones that were named so. Reported is the share of the interactions that are named
right. Who can encrypt needs no guess: every device can, and the catalogue is public.

python benchmarks/privacy/matching_server.py experiments/ml100k/fedpergnn.toml
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.fedpergnn import FedPerGNN
from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.experiment import read
from ufgraphfr.experiment.prepare import prepare

Counts = NDArray[np.float64]
Places = NDArray[np.int64]
PASSES = 8
"""Times that all is assigned anew."""
TRUSTED = 100
"""Frequent ciphers more, in each pass, whose names are taken to be right."""
POPULARITY = 0.3
"""What a difference of popularity weighs beside one of company."""


def ciphers(model: FedPerGNN, setting: Setting, everybody: ClientBatch) -> Counts:
    """What the matching server is sent, ``[users, items]``."""
    private = model.init_private(setting, everybody)
    task = model.broadcast(model.init_server(setting), everybody.clients, model.expansion)
    update, _ = model.local(task, everybody, private, Key(setting.seed).at(model.expansion))
    return np.asarray(update.arrays["ciphers"], dtype=np.float64)


def histories(everybody: ClientBatch) -> Counts:
    """Who has which item, ``[users, items]``."""
    found = np.zeros((len(everybody), everybody.n_items))
    found[np.repeat(np.arange(len(everybody)), everybody.counts), everybody.items] = 1
    return found


def by_popularity(known: Counts, seen: Counts) -> Places:
    """A guess of each cipher's item, ``[items]``."""
    guess = np.empty(known.shape[1], dtype=np.int64)
    guess[np.argsort(-seen.sum(0), kind="stable")] = np.argsort(-known.sum(0), kind="stable")
    return guess


def by_company(known: Counts, seen: Counts, cipher: Places, item: Places) -> Places:
    """The same, from some ciphers whose items are known."""
    company, other = _company(seen), _company(known)
    popular, likewise = np.log1p(seen.sum(0)), np.log1p(known.sum(0))
    frequent = np.argsort(-seen.sum(0), kind="stable")
    trusted, named = cipher, item
    for done in range(1, PASSES + 1):
        one, two = (near / near.std() for near in (company[:, trusted], other[:, named]))
        squares = np.square(one).sum(1)[:, None] + np.square(two).sum(1)
        cost = (squares - 2 * one @ two.T) / len(trusted)
        cost += POPULARITY * np.square(popular[:, None] - likewise)
        cost[cipher], cost[:, item] = np.inf, np.inf
        cost[cipher, item] = 0
        guess: Places = linear_sum_assignment(cost)[1]
        trusted = np.union1d(cipher, frequent[: TRUSTED * done])
        named = guess[trusted]
    return guess


def _company(rows: Counts) -> Counts:
    """Cosines of who has two items, ``[items, items]``."""
    both = rows.T @ rows
    root = np.sqrt(both.diagonal() + 1)
    return np.asarray(both / np.outer(root, root))


def right(guess: Places, truth: Places, seen: Counts) -> float:
    """The share of the interactions whose item is guessed."""
    counts = seen.sum(0)
    return float(counts[guess == truth].sum() / counts.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--halves", type=int, default=5, help="ways to divide the users")
    given = parser.parse_args()
    experiment = read(given.experiment)
    prepared, model = prepare(experiment, given.data_dir), experiment.model
    if not isinstance(model, FedPerGNN):
        raise SystemExit(f"{given.experiment} is an experiment of {model.kind}, not of fedpergnn")
    sent, own = ciphers(model, prepared.setting, prepared.batch), histories(prepared.batch)
    # the script has the histories that the server has not
    truth = np.array([np.flatnonzero((column == own.T).all(1))[0] for column in sent.T])
    for draw in range(given.halves):
        order = torch.randperm(len(own), generator=torch.Generator().manual_seed(draw)).numpy()
        known, seen = own[order[: len(order) // 2]], sent[order[len(order) // 2 :]]
        shares = [f"by popularity {right(by_popularity(known, seen), truth, seen):.1%}"]
        for length in (20, 100):
            user = int(np.abs(seen.sum(1) - length).argmin())
            cipher = np.flatnonzero(seen[user])
            guess = by_company(known, seen, cipher, truth[cipher])
            shares.append(f"by company of {len(cipher)} {right(guess, truth, seen):.1%}")
        print(f"half {draw}, {int(seen.sum()):,} interactions: {', '.join(shares)}", flush=True)


if __name__ == "__main__":
    main()
