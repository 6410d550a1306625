"""Where one aggregator ends, and what a tree of them takes: measured service, queues, messages.

    python benchmarks/scale/aggregators.py [--numbers 3200000] [--window 600] [--gigabit 10]

The service time of one reply, decoding it and adding it to the sum, is measured here. Replies of a
cohort come at random within a window (a Poisson stream) to one server with that service time: the
queue M/D/1, whose mean wait is rho s / (2 (1 - rho)) and whose tail is simulated. In a tree every
aggregator has as many below it as the fan-in says, and sends one sum up. The table is Markdown.
"""

import argparse
import math
import time
from itertools import pairwise

import numpy as np
import torch

from ufgraphfr.core.messages import Aggregation, Report, gather, one_row
from ufgraphfr.federation.codec import decode_report, encode_report

COHORTS = (1_000, 10_000, 100_000, 1_000_000)
FAN_IN = 100
SIMULATED = 200_000
"""Replies, at most."""


def measured(numbers: int, repeats: int = 5) -> tuple[float, int]:
    """CPU seconds to decode one reply and add it to the sum, and its bytes."""
    arrays = one_row({"sum": torch.randn(numbers)})
    report = Report(1, torch.tensor([1]), arrays, Aggregation.SUM, torch.zeros(1))
    payload = encode_report(report)
    total = [decode_report(payload)]
    begin = time.process_time()
    for _ in range(repeats):
        total.append(decode_report(payload))
        gather(total)
    return (time.process_time() - begin) / repeats, len(payload)


def waits(cohort: int, window: float, service: float) -> tuple[float, float]:
    """Mean of the formula, and the simulated 99th percentile, of seconds before a reply's turn."""
    load = cohort * service / window
    if load >= 1:
        return math.inf, math.inf
    random = np.random.default_rng(0)
    arrivals = np.cumsum(random.exponential(window / cohort, min(cohort, SIMULATED)))
    # Lindley: a reply's turn comes when the one before it is done
    slack = np.cumsum(np.full(len(arrivals), service)) - service
    begun = np.maximum.accumulate(arrivals - slack) + slack
    return load * service / (2 * (1 - load)), float(np.quantile(begun - arrivals, 0.99))


def tree(cohort: int, seconds: float) -> tuple[list[int], int, float]:
    """Aggregators of each level, messages in all, and seconds from the first reply to the sum.

    Args:
        cohort: replies.
        seconds: what one message takes an aggregator, as processor or as network.
    """
    levels = [cohort]
    while levels[-1] > 1:
        levels.append(math.ceil(levels[-1] / FAN_IN))
    below = [math.ceil(lower / upper) for lower, upper in pairwise(levels)]
    return levels[1:], sum(levels[:-1]), sum(below) * seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, default=3_200_000, help="of a reply")
    parser.add_argument("--window", type=float, default=600, help="seconds in which replies come")
    parser.add_argument("--gigabit", type=float, default=10, help="a second, of an aggregator")
    given = parser.parse_args()
    torch.set_num_threads(1)
    service, size = measured(given.numbers)
    network = 8 * size / given.gigabit / 1e9
    each = max(service, network)
    print(
        f"{size / 1e6:.1f} MB a reply: ms of CPU {1e3 * service:.1f}, network {1e3 * network:.1f}"
    )
    print(f"one aggregator ends at {given.window / each:,.0f} replies in {given.window:g} s\n")
    head = (
        "cohort",
        "one: load",
        "mean wait, s",
        "99 %, s",
        "tree",
        "messages",
        "seconds",
        "TB in all",
    )
    print(f"| {' | '.join(head)} |\n|{' ---: |' * len(head)}")
    for cohort in COHORTS:
        mean, tail = waits(cohort, given.window, each)
        levels, messages, seconds = tree(cohort, each)
        alone = (f"{mean:.3f}", f"{tail:.2f}") if math.isfinite(mean) else ("never", "never")
        shape = " + ".join(f"{level:,}" for level in levels)
        row = [f"{cohort:,}", f"{cohort * each / given.window:.2f}", *alone]
        row += (shape, f"{messages:,}", f"{seconds:.1f}", f"{messages * size / 1e12:.2f}")
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
