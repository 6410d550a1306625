"""Errors a person can act on: the value, the rule it broke, and the fix."""

import errno
import re
import sqlite3
from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Something handed in from outside is wrong.

    The message names the value, the rule and the fix; the command line prints it
    without a traceback and exits with code 2.
    """


class MissingExtra(InputError):
    """A part needs an optional dependency that is not installed."""

    def __init__(self, part: str, extra: str) -> None:
        super().__init__(
            f"{part} needs the optional dependency group '{extra}': "
            f"install it with pip install 'ufgraphfr[{extra}]'"
        )


def of_another_version(what: str) -> InputError:
    """A model that this version cannot use, and what to do with it.

    Args:
        what: it has that it should not, or lacks.
    """
    return InputError(f"{what}: another version trained it; open it with that one, or train anew")


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# the disk is full, or a write was cut short by a limit
_FULL_DATABASE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for want of space, whichever library it was that wrote."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) in _FULL_DATABASE
    # libraries in Rust say it in words
    said = re.search(r"\(os error (\d+)\)", str(error))
    return said is not None and int(said[1]) in _FULL


LISTED = 30
"""More valid names than this are not all listed."""


def nearest(value: str, valid: Iterable[str]) -> str:
    """A sentence that offers the nearest valid name, and all of them when few."""
    names = sorted(valid)
    close = get_close_matches(value, names, n=1, cutoff=0.5)
    known = f"valid: {', '.join(names)}" if len(names) <= LISTED else f"{len(names):,} are valid"
    return f"did you mean '{close[0]}'? ({known})" if close else known
