"""What a running deployment counts: for people (`deploy watch`) and for Prometheus.

No counter and no line of the log names a user or an item.
"""

import json
import logging
import time
from pathlib import Path
from typing import Any

from ufgraphfr.core.folders import write_atomically
from ufgraphfr.core.versions import Schema
from ufgraphfr.experiment.training import Progress

logger = logging.getLogger(__name__)

SCHEMA = Schema("metrics")
HELP = {
    "rounds": ("gauge", "Rounds that are done."),
    "rounds_planned": ("gauge", "Rounds there will be."),
    "nodes": ("gauge", "Nodes that take part in the run."),
    "users": ("gauge", "Users that take part in the run."),
    "users_answered": ("counter", "Users whose update came back, over all rounds."),
    "epsilon_spent": ("gauge", "Epsilon of what was released so far, under a guarantee."),
    "epsilon_budget": ("gauge", "Epsilon of all that will be released, under a guarantee."),
    "bytes_down": ("counter", "Encoded bytes to nodes."),
    "bytes_up": ("counter", "Encoded bytes from nodes."),
    "replies_lost": ("counter", "Requests without a reply in time."),
    "replies_rejected": ("counter", "Replies that validation refused."),
    "release": ("gauge", "The release of the model that was published last."),
    "users_left_out": ("counter", "Users drawn in rounds in which too few of their node were."),
    "untold": ("counter", "Evaluations that nodes refused."),
    "loss": ("gauge", "Mean training loss of the last round."),
    "ndcg10": ("gauge", "NDCG@10 of the last validation, all items."),
    "test_ndcg10": ("gauge", "NDCG@10 of the test of the last run that finished, all items."),
    "test_before_ndcg10": ("gauge", "The same of the release that the run went on from."),
    "test_popularity_ndcg10": ("gauge", "The same of popularity at each node."),
}
COUNTERS = tuple(name for name, (kind, _) in HELP.items() if kind == "counter")


class RunMetrics:
    """Counters of one run, kept in a file that is replaced with each round."""

    def __init__(self, path: Path, rounds: int) -> None:
        """Continues the file's counters, if it is there."""
        self._path = path
        before = read_metrics(path)
        self.values: dict[str, Any] = {name: before.get(name, 0) for name in COUNTERS}
        # all at once: who reads the file finds a state in it
        begun = {"state": "waiting for nodes", "missed_by_node": {}, "reason_by_node": {}}
        self.update(nodes=0, users=0, rounds=0, rounds_planned=rounds, **begun)

    def update(self, **values: Any) -> None:
        """Set some of the values, by their names, and replace the file."""
        self.values |= values
        self.values["time"] = time.time()
        write_atomically(self._path, json.dumps(SCHEMA.write(self.values)).encode())
        # between two runs nothing listens: for the textfile collector of a node exporter
        write_atomically(self._path.with_suffix(".prom"), prometheus(self.values).encode())

    def answered(self, node: str, users: int, bytes_down: int, bytes_up: int) -> None:
        """A node's report arrived."""
        self.values["users_answered"] += users
        self.evaluated(bytes_down, bytes_up)
        logger.info("%s replied for %d users, %d bytes", node, users, bytes_up)

    def evaluated(self, bytes_down: int, bytes_up: int) -> None:
        """A request to a node and its reply."""
        self.values["bytes_down"] += bytes_down
        self.values["bytes_up"] += bytes_up

    def left_out(self, users: int) -> None:
        """Users were drawn, and too few of their node to be asked."""
        self.values["users_left_out"] += users

    def lost(self, node: str) -> None:
        """A node did not reply in time."""
        self._miss(node, "replies_lost", "did not reply in time")
        logger.warning("%s did not reply in time", node)

    def rejected(self, node: str, reason: str) -> None:
        """A node's reply was refused."""
        self._miss(node, "replies_rejected", reason)
        logger.warning("%s: %s", node, reason)

    def _miss(self, node: str, counter: str, reason: str) -> None:
        self.values[counter] += 1
        by_node = self.values["missed_by_node"]
        by_node[node] = by_node.get(node, 0) + 1
        self.values["reason_by_node"][node] = reason
        self.update()

    def progress(self, step: Progress) -> None:
        """A round is done."""
        values = {"rounds": step.round, "seconds": step.seconds}
        if step.loss == step.loss:
            values["loss"] = step.loss
        if step.validation is not None:
            values["ndcg10"] = step.validation["full"]["ndcg@10"]
        self.update(**values)


def read_metrics(path: Path) -> dict[str, Any]:
    """The values that `RunMetrics` saved; nothing before its first.

    Raises:
        InputError: a newer release wrote them.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return SCHEMA.read(document, path)


def prometheus(values: dict[str, Any]) -> str:
    """The counters in Prometheus' text format, version 0.0.4."""
    lines = []
    for name, (kind, text) in HELP.items():
        if name in values:
            full = f"ufgraphfr_{name}" + ("_total" if kind == "counter" else "")
            lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}", f"{full} {values[name]}"]
    return "\n".join(lines) + "\n"
