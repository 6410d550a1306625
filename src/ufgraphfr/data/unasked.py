"""Whom a split cannot ask, and what: nobody's data stop the others, and all are counted."""

import numpy as np

from ufgraphfr.data.protocol_draws import SAMPLED
from ufgraphfr.data.split import Split


def unasked(split: Split) -> dict[str, int]:
    """Users who train but are left out of a question, by question; empty if nobody is.

    ``negatives``: they have every item, so no negative can be drawn. ``test``: no item but the
    test's would be left to rank. ``sampled99``: fewer than 99 items are left that they never
    touched. ``targets``: they are asked in the test, for fewer items than others are. Who is not
    asked because of its dates is not counted.
    """
    trained, history = np.diff(split.ptr), np.diff(split.history_ptr)
    wanted = np.minimum(history - split.known, split.most_targets)
    full = (trained > 0) & (wanted > 0) & (split.n_items <= split.known + wanted)
    asked = split.asked("test")
    few = split.n_items - split.touched[asked] < SAMPLED
    found = {
        "negatives": int((trained >= split.n_items).sum()),
        "test": int(full.sum()),
        "sampled99": int(few.sum()),
        "targets": int((split.test_targets[asked] < split.most_targets).sum() * (not split.given)),
    }
    return {name: count for name, count in found.items() if count}


def told(split: Split) -> list[str]:
    """The same in a sentence for each question."""
    asked, everything = len(split.asked("test")), f"all {split.n_items:,} items"
    fewer = f"of {asked:,} in the test: fewer than {SAMPLED} items they never touched, so no rank"
    short = f"of {asked:,} in the test: too few interactions for {split.most_targets} targets"
    sentences = {
        "negatives": ("user has", "users have", f"{everything}: trained without negatives"),
        "test": ("user has", "users have", f"{everything}: nothing is left to rank in the test"),
        "sampled99": ("user", "users", f"{fewer} among {SAMPLED + 1}"),
        "targets": ("user", "users", short),
    }
    found = unasked(split).items()
    return [f"{count:,} {sentences[name][count > 1]} {sentences[name][2]}" for name, count in found]
