"""What is shown: popularity bias, coverage and how unequally items are listed."""

import numpy as np
from numpy.typing import NDArray

from ufgraphfr.evaluation.metrics.gini import Gini
from ufgraphfr.evaluation.metrics.novelty import Novelty
from ufgraphfr.report.charts import Series, bars
from ufgraphfr.report.gather import LIST, Lists, RunFacts
from ufgraphfr.report.html import both, facts, number, paragraph

PARTS = 10
"""Parts of the catalogue, from the most popular items to the least."""


def shown_items(run: RunFacts) -> str:
    """Which items fill the lists, beside those that people have."""
    if run.lists is None:
        why = run.missing or "only a finished run has lists, and only its owner may see them"
        return paragraph(f"Not computed: {why}.")
    lists = run.lists
    names = [f"{place + 1}" for place in range(PARTS)]
    listed, had = (shares(lists, of) for of in (lists.top.listed, lists.trained))
    title = "Share of each tenth of the catalogue, most popular first"
    drawn = bars(title, names, [Series("in lists", listed), Series("in histories", had)])
    said = [f"{lists.top.users:,} of {lists.users:,} users were asked for their ten best items."]
    if (ratio := listed[0] / max(had[0], 1e-12)) > 1.1:
        said.append(
            f"The most popular tenth has {listed[0]:.0%} of the places in lists and {had[0]:.0%} "
            f"of the histories: {ratio:.1f} times its share."
        )
    else:
        said.append(
            f"The most popular tenth has {listed[0]:.0%} of the places in lists and {had[0]:.0%} "
            f"of the histories: the lists are no more drawn to it than people are."
        )
    return both(drawn, facts(_figures(lists))) + paragraph(" ".join(said))


def shares(lists: Lists, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of counts that each tenth of the items has, float64 ``[10]``."""
    order = np.argsort(-lists.trained, kind="stable")
    parts = np.array([counts[part].sum() for part in np.array_split(order, PARTS)], np.float64)
    return parts / max(1.0, float(counts.sum()))


def _figures(lists: Lists) -> dict[str, str]:
    listed = lists.top.listed
    covered = f"{1 - (listed == 0).mean():.0%} of {len(listed):,}"
    popular = np.average(lists.trained, weights=listed) if listed.sum() else float("nan")
    usual = np.average(lists.trained, weights=lists.trained) if lists.trained.sum() else 1.0
    return {
        f"Items in the best {LIST} of who was asked": covered,
        "Gini index of the lists": f"{Gini(at=LIST).value(lists.top):.3f} (0: all items alike)",
        "Novelty": f"{Novelty(at=LIST).value(lists.top):.2f} bits",
        "Training rows of a listed item": number(float(popular), 0),
        "Training rows of an item in a history": number(float(usual), 0),
    }
