"""What says that a value is missing: one rule for profiles, sentences and item features.

The spellings are those that data tools write for a gap (pandas, SQL dumps, spreadsheets). Only
these: ``none`` in lower case is an answer, as in MovieLens' list of occupations.
"""

import re
from collections.abc import Iterable

MISSING = frozenset(
    {"", "-", "--", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "<NA>", "#N/A", "\\N"}
    | {"None", "null", "Null", "NULL"}
)
"""Texts that stand for no value."""

_WHOLE_AS_FLOAT = re.compile(r"([+-]?\d+)\.0+")


def plain(value: str | None) -> str:
    """A value as people write it; empty if it is missing.

    A column of whole numbers with a gap becomes one of floats in many tools, so ``31.0`` is 31.
    """
    text = unquoted((value or "").strip())
    if text in MISSING:
        return ""
    whole = _WHOLE_AS_FLOAT.fullmatch(text)
    return whole[1] if whole else text


def unquoted(text: str) -> str:
    """A value without the one quotation mark at its end that a broken export left there."""
    if text.count('"') == 1 and '"' in (text[0], text[-1]):
        return text.strip('"').strip()
    return text


def present(values: Iterable[str]) -> tuple[str, ...]:
    """The values that are not missing, as people write them."""
    return tuple(filter(None, map(plain, values)))
