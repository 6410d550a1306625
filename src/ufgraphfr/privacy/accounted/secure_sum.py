"""Shares of noise in a total that nobody sees the parts of, and what is left if nodes collude.

Each of ``s`` nodes adds noise of the variance ``sigma^2 / (s - t)`` to its own sum, and a mask that
cancels in the total of all. Who learns the total and the shares of ``t`` nodes still faces
``sigma^2``, the noise that is paid for; the total has ``s / (s - t)`` times that.

The sum of ``n`` rounded Gaussians is ``round(N(0, n sigma^2) + U_1 + ... + U_{n-1})`` with ``U``
uniform between -1/2 and 1/2: an ideal Gaussian's noised sum, post-processed. By Poisson's summation
the two differ by terms of ``exp(-pi^2 sigma^2 / 2)`` with sigma in steps of the grid, which is
thousands at least.
"""

from ufgraphfr.core.errors import InputError

LEAST_NODES = 3
"""Of two nodes each knows the other's sum: the total less its own."""


def share(nodes: int, tolerate: int) -> float:
    """What one node adds, of the variance that is paid for."""
    return 1 / (nodes - tolerate)


def check_nodes(nodes: int, tolerate: int, key: str) -> None:
    """Check that a total hides its parts.

    Args:
        nodes: that are in it.
        tolerate: of them may collude with the server.
        key: of a configuration, for the message.

    Raises:
        InputError: it would not.
    """
    if nodes < LEAST_NODES:
        raise InputError(
            f"{key} = {nodes}: a secure sum needs {LEAST_NODES} nodes or more, since of two each "
            f"knows the other's part of the total; with two, trust = 'shard' protects both"
        )
    if tolerate > nodes - 2:
        raise InputError(
            f"tolerate = {tolerate} of {nodes} nodes leaves {max(0, nodes - tolerate)} that may "
            f"not collude, and the total hides a sum among two or more: choose at most {nodes - 2}"
        )
