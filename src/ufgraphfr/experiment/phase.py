"""What a round does, for whoever watches: it trains, or collects sums from everybody first."""

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.capabilities import asks_all_clients, releases


def phase_of(
    algorithm: Algorithm, number: int, rounds: int, is_private: bool
) -> tuple[str, int | None]:
    """What a round does, empty if it trains, and the last round that does the same.

    Args:
        algorithm: the model in use.
        number: of the round, from 1.
        rounds: how many there are.
        is_private: whether a round releases a part that is paid for, and so has a name.
    """
    if not asks_all_clients(algorithm, number):
        return "", rounds
    if is_private:
        here = [each for each in releases(algorithm, rounds) if each.first <= number <= each.last]
        return f"collecting {', '.join(each.part for each in here)}", max(
            (each.last for each in here), default=number
        )
    last = number
    while last < rounds and asks_all_clients(algorithm, last + 1):
        last += 1
    return "collecting the graph from everybody", last
