"""From rows of names to interactions: what does not count is left out, the rest is numbered."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.mapped import blocks, gathered
from ufgraphfr.data.coded import Coded, Mask
from ufgraphfr.data.interactions import (
    FILE_ORDER,
    MIN_INTERACTIONS,
    Cleaning,
    Interactions,
    Selection,
)
from ufgraphfr.data.per_user import Names
from ufgraphfr.data.row_blocks import Ids


def number(
    rows: Coded,
    sequential: bool = True,
    name: str = "table",
    selection: Selection = FILE_ORDER,
) -> tuple[Interactions, Names, tuple[str, ...], Cleaning]:
    """Drop repeated pairs (the earliest is kept), short users and rare items; number what remains.

    Args:
        rows: in file order.
        sequential: as of `Interactions`.
        name: likewise.
        selection: which rows count, and in which order.

    Returns:
        The interactions, the names of users and of items in order of first appearance (of items:
        or as ``selection`` lists them), and what was left out.

    Raises:
        InputError: no user has enough interactions.
    """
    listed = None if selection.items is None else rows.items.is_in(selection.items).to_numpy()
    among = None if listed is None else _of_items(rows, listed)
    once = rows.earliest(among)
    kept = rows.core(once, selection.min_user, selection.min_item)
    least = selection.min_user, selection.min_item
    if not kept.any() and once.any() and least != (MIN_INTERACTIONS, 1):
        raise InputError(
            f"nothing is left of {once.sum():,} interactions of '{name}' with min_user = "
            f"{least[0]} and min_item = {least[1]} (k_core sets both): ask for less"
        )
    places = rows.ordered(kept, selection.file_order)
    users, of_user = _first_seen(rows.user, rows.users, places)
    items, of_item = (
        _first_seen(rows.item, rows.items, places)
        if selection.items is None
        else _as_listed(rows.items, selection.items)
    )
    own = Interactions(
        user=_taken(of_user, rows.user, places),
        item=_taken(of_item, rows.item, places),
        timestamp=_taken(None, rows.timestamp, places),
        n_users=len(users),
        n_items=len(items),
        sequential=sequential,
        name=name,
        part=_taken(None, rows.part, places),
    )
    return own, Names(users), tuple(items), _cleaning(rows, selection, among, once, kept)


def _cleaning(
    rows: Coded, selection: Selection, among: Mask | None, once: Mask, kept: Mask
) -> Cleaning:
    """What was left out: rows outside the list, repeats, then users and items with too few."""
    there, left = ([int((held > 0).sum()) for held in rows.held(mask)] for mask in (once, kept))
    listed = len(rows) if among is None else int(among.sum())
    return Cleaning(
        repeated_pairs=listed - int(once.sum()),
        unlisted=len(rows) - listed,
        dropped_users=there[0] - left[0],
        dropped_items=there[1] - left[1] if selection.min_item > 1 else 0,
        min_user=selection.min_user,
        min_item=selection.min_item,
    )


def _of_items(rows: Coded, listed: Mask) -> Mask:
    return gathered((listed[rows.item[some]] for some in blocks(rows.item)), bool)


def _first_seen(codes: Ids, names: pl.Series, places: Ids) -> tuple[pl.Series, Ids]:
    """Names in order of first appearance, and the number of each code; -1 of what is not there."""
    of_code, found = np.full(len(names), -1), list[Ids]()
    first = np.empty(len(names), np.int64)
    many = 0
    for some in blocks(places):
        own = codes[places[some]]
        # of what stands several times the last assignment holds, and so the first place
        first[own[::-1]] = np.arange(len(own))[::-1]
        fresh = np.unique(own)
        fresh = fresh[of_code[fresh] < 0]
        fresh = fresh[np.argsort(first[fresh])]
        of_code[fresh] = np.arange(many, many + len(fresh))
        many += len(fresh)
        found.append(fresh)
    order = np.concatenate(found) if found else np.empty(0, np.int64)
    return names.gather(order), of_code


def _as_listed(names: pl.Series, listed: Iterable[str]) -> tuple[tuple[str, ...], Ids]:
    """The listed names, distinct, and the number of each code among them."""
    distinct = tuple(dict.fromkeys(listed))
    place = {name: number for number, name in enumerate(distinct)}
    return distinct, np.array([place.get(name, -1) for name in names], np.int64)


def _taken(of_code: Ids | None, column: NDArray[Any] | None, places: Ids) -> Any:
    """A column at these places, its codes as numbers; None of none."""
    if column is None:
        return None
    rows = (column[places[some]] for some in blocks(places))
    return gathered((own if of_code is None else of_code[own] for own in rows), column.dtype)
