"""The oldest release of this package that an agreement lets run."""

import re

from ufgraphfr import __version__
from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agreement.document import Agreement


def check_software(agreement: Agreement) -> None:
    """Check that the release that runs here is as new as was agreed on.

    Raises:
        InputError: it is older.
    """
    wanted = agreement.software
    if wanted and _numbers(__version__) < _numbers(wanted):
        raise InputError(
            f"ufgraphfr {__version__} runs here, and the agreement asks for {wanted}: install it"
        )


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", release)[:3]))
