"""How utility under a budget grows with how many take part: noise for each falls as 1 / n.

    python benchmarks/scale/privacy.py 10000 100000 [--items 10000] [--asked 2000] [--draws 3]
        [--out FILE]

One generated population, of which the first n take part. For every n, epsilon and kind of server:
the flagship's form under that budget, the same form without noise, and DP popularity. A JSON line
for each run; the last lines printed are a Markdown table of means over draws of noise.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.allocator import keep_freed_memory
from ufgraphfr.core.keys import Key
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.experiment.config import Experiment, build
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

EPSILONS = (0.25, 1.0, 8.0)
SERVERS: dict[str, dict[str, Any]] = {
    "trusted": {},
    "10 nodes": {"trust": "shard", "shards": 10},
    "10 nodes, secure sums": {"trust": "secure-sum", "shards": 10},
}
POPULARITY = {"head": False, "graph_items": 0}
NOISED, UNNOISED, DP_POPULARITY = "flagship", "flagship without noise", "DP popularity"
CHUNK = 1024


def experiment_of(
    users: int,
    given: argparse.Namespace,
    privacy: dict[str, Any],
    private: dict[str, Any],
    draw: int,
) -> Experiment:
    return build(
        {
            "seed": draw,
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
) -> dict[str, torch.Tensor]:
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


def outcome(experiment: Experiment, prepared: PreparedExperiment, noised: bool) -> dict[str, Any]:
    """Test metrics of the last iterate, and what it cost."""
    cpu = time.process_time()
    form = model_in_use(experiment, prepared.setting)
    count = form.releases(1)[-1].last
    federation = experiment.federation.model_copy(update={"rounds": count})
    experiment = replace(experiment, federation=federation)
    state = trained(experiment, form, prepared, noised)
    score = device_score(form, state, PrivateState({}), count)
    found = evaluate(score, prepared.test, 256)
    return {
        "ndcg@10": found.metrics["full"]["ndcg@10"],
        "standard_error": found.standard_errors["full"]["ndcg@10"],
        "rounds": count,
        "cpu_s": round(time.process_time() - cpu, 1),
    }


def table(lines: list[dict[str, Any]]) -> list[str]:
    """Means over draws: a row for each n, server and epsilon."""
    names = (NOISED, UNNOISED, DP_POPULARITY)
    head = ["users", "server", "epsilon", *names, "of un-noised"]
    rows = [head, ["---:", "---", *["---:"] * 5]]
    for at in dict.fromkeys((each["users"], each["server"], each["epsilon"]) for each in lines):
        own = [each for each in lines if (each["users"], each["server"], each["epsilon"]) == at]
        means = [
            statistics.mean(each["ndcg@10"] for each in own if each["model"] == name)
            for name in names
        ]
        share = f"{means[0] / means[1]:.0%}"
        rows.append([f"{at[0]:,}", at[1], f"{at[2]:g}", *(f"{mean:.4f}" for mean in means), share])
    return [f"| {' | '.join(row)} |" for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("users", nargs="+", type=int)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--asked", type=int, default=2_000)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    keep_freed_memory()
    lines = []
    for users in given.users:
        first = experiment_of(users, given, {"epsilon": 1.0}, {}, 0)
        prepared = arranged(first, first.source.load())
        for server, epsilon in product(given.servers, EPSILONS):
            privacy = {"epsilon": epsilon, **SERVERS[server]}
            for model, draw in product((NOISED, UNNOISED, DP_POPULARITY), range(given.draws)):
                if model == UNNOISED and draw:
                    continue
                private = POPULARITY if model == DP_POPULARITY else {}
                experiment = experiment_of(users, given, privacy, private, draw)
                found = outcome(experiment, prepared, model != UNNOISED)
                facts = {"users": users, "server": server, "epsilon": epsilon, "model": model}
                lines.append({**facts, "draw": draw, **found})
                print(json.dumps(lines[-1]), file=sys.stderr, flush=True)
                if given.out is not None:
                    with given.out.open("a") as file:
                        file.write(json.dumps(lines[-1]) + "\n")
    print(*table(lines), sep="\n")


if __name__ == "__main__":
    main()
