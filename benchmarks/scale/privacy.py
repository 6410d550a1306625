"""How utility under a budget grows with how many take part: noise for each falls as 1 / n.

    python benchmarks/scale/privacy.py 10000 100000 1000000 [--items 4000] [--asked 2000]
        [--draws 1] [--servers trusted] [--epsilons .25 1 8] [--out FILE]

One generated population, of which n take part. For every n, kind of server and epsilon: the
flagship's form under that budget, the same form without noise, and DP popularity, all through the
product's own rounds and mechanism. A JSON line for each run; what is in ``--out`` already is not
run again, so points can be added. What is printed is a Markdown table, means over draws of noise;
`privacy_picture.py` draws it.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.algorithms.ufgraphformer.private.model import PrivateForm
from ufgraphfr.core.allocator import keep_freed_memory
from ufgraphfr.core.keys import Key
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.metrics import per_user, values
from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.environment import environment
from ufgraphfr.experiment.prepare import PreparedExperiment, arranged
from ufgraphfr.experiment.privacy_plan import calibrate, model_in_use
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.scoring import device_score
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.none import NoMechanism

EPSILONS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
SERVERS: dict[str, dict[str, Any]] = {
    "trusted": {},
    "10 nodes": {"trust": "shard", "shards": 10},
    "10 nodes, secure sums": {"trust": "secure-sum", "shards": 10},
}
POPULARITY = {"head": False, "graph_items": 0}
NOISED, UNNOISED, DP_POPULARITY = "flagship", "flagship without noise", "DP popularity"
CHUNK = 8192
"""Clients that count at once; those of a graph are stacked by what they hold."""
_SEED = 0
"""Of the population and its split; noise comes from the operating system."""

State = dict[str, torch.Tensor]
Line = dict[str, Any]


def experiment_of(
    users: int, given: argparse.Namespace, privacy: dict[str, Any], private: dict[str, Any]
) -> Experiment:
    """A run on the first so many users."""
    return build(
        {
            "seed": _SEED,
            "data": {
                "kind": "synthetic",
                "users": users,
                "items": given.items,
                "groups": 20,
                "interactions": 50,
                "popularity": 1.0,
                "order": "chain",
            },
            "text": {"kind": "hashing", "width": 64},
            "algorithm": {"kind": "ufgraphformer", "private": private},
            # at most a tenth of one in a million users, and the same for fewer
            "privacy": {"kind": "central-jdp", "delta": 1e-7, **privacy},
            "federation": {"rounds": 1},
            "evaluation": {"users": given.asked},
        }
    )


def trained(
    experiment: Experiment, form: Algorithm, prepared: PreparedExperiment, noised: bool
) -> State:
    """The server's memory after the form's rounds, in each of which everybody takes part."""
    mechanism: Any = NoMechanism()
    if noised:
        mechanism = calibrate(experiment, form, len(prepared.split.warm), Ledger(None))
    client = Client(form, mechanism)
    transport = Local().to(Simulation(client, prepared.batch, PrivateState({}), CHUNK))
    steps = rounds(
        Aggregator(form, prepared.setting),
        mechanism,
        transport,
        experiment.federation,
        torch.from_numpy(prepared.split.warm),
        form.init_server(prepared.setting),
        Key(experiment.seed),
    )
    *_, last = steps
    return last.state


@dataclass
class Population:
    """So many users, and what is known of them without noise, which is collected once.

    Attributes:
        users: how many.
        given: the command line.
        prepared: the data, split.
        clean: the memory without noise, by the number of items of its graph.
        gains: each asked user's NDCG@10 without noise, by server and epsilon.
    """

    users: int
    given: argparse.Namespace
    prepared: PreparedExperiment
    clean: dict[int, State] = field(default_factory=dict)
    gains: dict[tuple[str, float], NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def of(cls, users: int, given: argparse.Namespace) -> "Population":
        """Generated and split."""
        first = experiment_of(users, given, {"epsilon": 1.0}, {})
        return cls(users, given, arranged(first, first.source.load()))

    def outcome(self, server: str, epsilon: float, model: str) -> Line:
        """Test metrics of the last iterate, and what it cost."""
        cpu = time.process_time()
        private = POPULARITY if model == DP_POPULARITY else {}
        privacy = {"epsilon": epsilon, **SERVERS[server]}
        experiment = experiment_of(self.users, self.given, privacy, private)
        form = model_in_use(experiment, self.prepared.setting)
        assert isinstance(form, PrivateForm)
        count = form.releases(1)[-1].last
        federation = experiment.federation.model_copy(update={"rounds": count})
        experiment = replace(experiment, federation=federation)
        state = self._state(experiment, form, model)
        score = device_score(form, state, PrivateState({}), count)
        found = evaluate(score, self.prepared.test, 256)
        gains = per_user(values("ndcg@10", found.full), found.users)
        told = {
            "ndcg@10": found.metrics["full"]["ndcg@10"],
            "standard_error": found.standard_errors["full"]["ndcg@10"],
            "graph_items": form.plan.graph_items,
            "clients_a_unit_of_noise": round(form.plan.signal, 1),
            "cpu_s": round(time.process_time() - cpu, 1),
        }
        return told | self._beside(gains, server, epsilon, model)

    def _state(self, experiment: Experiment, form: PrivateForm, model: str) -> State:
        if model != UNNOISED:
            return trained(experiment, form, self.prepared, True)
        # without noise a plan's budget is in its scores alone
        size = form.plan.graph_items
        if size not in self.clean:
            self.clean = {size: trained(experiment, form, self.prepared, False)}
        return self.clean[size]

    def _beside(
        self, gains: NDArray[np.float64], server: str, epsilon: float, model: str
    ) -> dict[str, float]:
        """How far above the form without noise, paired over users."""
        if model == UNNOISED:
            self.gains[server, epsilon] = gains
        beside = self.gains.get((server, epsilon))
        if beside is None or model == UNNOISED:
            return {}
        above = gains - beside
        error = above.std(ddof=1) / len(above) ** 0.5
        return {"above_unnoised": float(above.mean()), "above_error": float(error)}


def table(lines: list[Line]) -> list[str]:
    """Means over draws: a row for each n, server and epsilon."""
    names = (NOISED, UNNOISED, DP_POPULARITY)
    head = ["users", "server", "epsilon", "graph, items", "draws", *names, "of un-noised"]
    rows = [head, ["---:", "---", *["---:"] * 7]]
    for at in dict.fromkeys((each["users"], each["server"], each["epsilon"]) for each in lines):
        own = [each for each in lines if (each["users"], each["server"], each["epsilon"]) == at]
        by_model = {
            name: [each["ndcg@10"] for each in own if each["model"] == name] for name in names
        }
        if not all(by_model.values()):
            continue
        means = [statistics.mean(by_model[name]) for name in names]
        graph = next(each["graph_items"] for each in own if each["model"] == NOISED)
        cells = [f"{at[0]:,}", at[1], f"{at[2]:g}", f"{graph:,}", str(len(by_model[NOISED]))]
        rows.append([*cells, *(f"{mean:.4f}" for mean in means), f"{means[0] / means[1]:.0%}"])
    return [f"| {' | '.join(row)} |" for row in rows]


def wanted(given: argparse.Namespace, lines: list[Line]) -> Iterator[dict[str, Any]]:
    """What is asked for and not measured yet; the form without noise before the noised one."""
    keys = ("users", "items", "asked", "server", "epsilon", "model", "draw")
    known = {tuple(line[key] for key in keys) for line in lines}
    models = (UNNOISED, NOISED, DP_POPULARITY)
    for users, server, epsilon, model, draw in product(
        given.users, given.servers, given.epsilons, models, range(given.draws)
    ):
        at = (users, given.items, given.asked, server, epsilon, model, draw)
        if at not in known and not (model == UNNOISED and draw):
            yield dict(zip(keys, at, strict=True))


def main() -> None:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("users", nargs="+", type=int)
    parser.add_argument("--items", type=int, default=4_000)
    parser.add_argument("--asked", type=int, default=2_000)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--epsilons", nargs="+", type=float, default=list(EPSILONS))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    keep_freed_memory()
    lines, population = list[Line](), None
    if given.out is not None and given.out.exists():
        lines = [json.loads(line) for line in given.out.read_text().splitlines()]
    for at in list(wanted(given, lines)):
        if population is None or population.users != at["users"]:
            population = None
            population = Population.of(at["users"], given)
        found = population.outcome(at["server"], at["epsilon"], at["model"])
        lines.append({**at, "seed": _SEED, **found, **environment(torch.device("cpu"))})
        print(json.dumps({**at, **found}), file=sys.stderr, flush=True)
        if given.out is not None:
            with given.out.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    print(*table(lines), sep="\n")


if __name__ == "__main__":
    main()
