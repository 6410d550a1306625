"""From how many users on a Transformer that is trained under a budget pays, beside the item graph.

    python benchmarks/scale/transformer.py experiments/private/ml1m_eps1.toml --data-dir DIR
        [--users 100000 1000000] [--epsilons 1 8] [--rounds 600] [--asked 2000] [--out FILE]

Each user of the data stands for so many users like it: sums over clients grow by n / users, and
noise falls on them as a budget for n asks. So McMahan, Ramage, Talwar and Zhang, "Learning
differentially private recurrent language models", ICLR 2018, went to more users than they had. The
form under a budget (popularity, graph, profile) has all of it, or half beside rounds in which a
Poisson cohort of a hundredth trains the Transformer: each client's gradient is clipped, and the
accountant that all runs have says how much noise their sum has. The cohort that is simulated is
``--cohort``, which spreads as few clients do, so what is found is rather less than what there is.
How much the Transformer weighs is chosen on the validation items; NDCG@10 of the test beside the
whole budget's graph, paired over users.
"""

import argparse
import json
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer.model import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.algorithms.ufgraphformer.private.model import PrivateForm
from ufgraphfr.algorithms.ufgraphformer.private.plan import plan_for
from ufgraphfr.core.arrays.cells import as_array, as_row
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, State
from ufgraphfr.core.releases import Budget
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.metrics import per_user, values
from ufgraphfr.evaluation.protocol import EvaluationSet
from ufgraphfr.evaluation.significance import difference
from ufgraphfr.experiment.config import build
from ufgraphfr.experiment.environment import environment
from ufgraphfr.experiment.prepare import PreparedExperiment, prepare
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.scoring import device_score
from ufgraphfr.ops.blend import standardised
from ufgraphfr.privacy.accounted.accounting import Gaussian, multipliers, noise_of

DELTA = 1e-7
SHARE = 0.5
"""Of the budget, for training."""
COHORT_RATE = 0.01
CLIP = 2.0
"""Below the median length of a client's gradient, 1.7 to 3.6 while it trains on MovieLens-1M."""
WEIGHTS = 0.25, 0.5, 1.0, 2.0
"""Of the Transformer's scores, relative to the graph's."""

Score = Callable[[ClientBatch], Tensor]


def collected(
    prepared: PreparedExperiment, users: int, noise: float, draw: torch.Generator
) -> tuple[PrivateForm, State]:
    """The form that a budget affords with so many users, and its noised sums."""
    setting, batch = prepared.setting, prepared.batch
    plan = plan_for(PrivateSpec(), Budget(users, noise), setting)
    form = PrivateForm(plan=plan)
    state = form.init_server(setting)
    for number, part in enumerate(plan.once, start=1):
        task = form.broadcast(state, batch.clients, number)
        total: Tensor | float = 0.0
        for some in torch.arange(len(batch)).split(512):
            one = replace(task, clients=batch.clients[some])
            update, _ = form.local(one, batch.select(some), {}, Key(0).at(number))
            (value,) = update.arrays.values()
            total = total + as_array(value).total()
        assert isinstance(total, Tensor)
        # each user stands for so many
        total = total * (users / len(batch))
        total += torch.randn(total.shape, generator=draw) * plan.std(part)
        sums = {part: as_row(total)}
        everybody, no_loss = torch.arange(users), torch.zeros(users)
        state = form.aggregate(state, Report(number, everybody, sums, Aggregation.SUM, no_loss))
    return form, state


def trained(
    prepared: PreparedExperiment, given: argparse.Namespace, std: float, draw: torch.Generator
) -> Score:
    """A Transformer's scores; each number of a round's mean gradient has noise of ``std``."""
    rounds, batch = given.rounds, prepared.batch
    model = UFGraphFormer(
        **{"graph": False, "head": False, "profile": False, "cold_users": False},
        training={"weighting": "clients", "candidates": min(500, prepared.setting.items)},
        adam={"lr": given.lr, "average": 0.98, "warmup": max(10, rounds // 20)},
    )
    sequence = model.sequence
    assert sequence is not None
    state = model.init_server(prepared.setting)
    for number in range(1, rounds + 1):
        cohort = torch.randperm(len(batch), generator=draw)[: given.cohort]
        longest_first = batch.counts[cohort].argsort(descending=True)
        some = batch.select(cohort[longest_first])
        task = model.broadcast(state, some.clients, number)
        task = replace(task, aggregation=Aggregation.PER_CLIENT)
        update, _ = model.local(task, some, {}, Key(0).at(number))
        gradient = update.arrays["gradient"]
        assert isinstance(gradient, Tensor)
        clipped = gradient * (CLIP / gradient.norm(dim=1)).clamp(max=1)[:, None]
        mean = clipped.mean(0) + std * torch.randn(gradient.shape[1], generator=draw)
        state = sequence.spec.adam.stepped(state, mean)
    shared = model.scoring_task(state, batch.clients[:1], rounds + 1).shared

    def scores(inputs: ClientBatch) -> Tensor:
        (view,) = sequence.scores(shared, inputs)
        found = view()
        assert isinstance(found, Tensor)
        return found

    return scores


def ndcg(score: Score, asked: EvaluationSet) -> tuple[float, Any]:
    """The mean, and each user's own."""
    found = evaluate(score, asked)
    return found.metrics["full"]["ndcg@10"], per_user(values("ndcg@10", found.full), found.users)


def outcome(
    prepared: PreparedExperiment, given: argparse.Namespace, users: int, epsilon: float
) -> dict[str, Any]:
    """The graph with the whole budget, and with half of it the graph and the Transformer."""
    cpu, draw = time.process_time(), torch.Generator().manual_seed(given.seed)
    noise = noise_of(epsilon, DELTA)
    alone = device_score(*collected(prepared, users, noise, draw), PrivateState({}), 9)
    form, state = collected(prepared, users, noise / (1 - SHARE) ** 0.5, draw)
    rest = device_score(form, state, PrivateState({}), 9)
    parts = Gaussian(1, None, 1 - SHARE), Gaussian(given.rounds, COHORT_RATE, SHARE)
    multiplier = multipliers(parts, epsilon, DELTA)[1]
    std = multiplier * CLIP / (COHORT_RATE * users)
    transformer = trained(prepared, given, std, draw)

    def both(weight: float) -> Score:
        own = weight * form.plan.graph_weight
        return lambda inputs: rest(inputs) + own * standardised(transformer(inputs))

    chosen = max(WEIGHTS, key=lambda weight: ndcg(both(weight), prepared.validation)[0])
    graph, graph_gains = ndcg(alone, prepared.test)
    together, gains = ndcg(both(chosen), prepared.test)
    above = difference(gains[None], graph_gains[None])
    return {
        "users": users,
        "epsilon": epsilon,
        "clients_a_unit_of_noise": round(users / noise),
        "noise_multiplier_of_training": round(multiplier, 3),
        "graph": graph,
        "transformer": ndcg(transformer, prepared.test)[0],
        "both": together,
        "weight": chosen,
        "above_graph": above.mean,
        "interval": [above.low, above.high],
        "p": above.p_value,
        "cpu_s": round(time.process_time() - cpu, 1),
    }


def main() -> None:
    """A line of JSON for each number of users and epsilon."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--users", nargs="+", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1.0, 8.0])
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument("--cohort", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--asked", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    settings = tomllib.loads(given.experiment.read_text())
    settings["evaluation"] = {"users": given.asked}
    prepared = prepare(build(settings), given.data_dir)
    for users in given.users:
        for epsilon in given.epsilons:
            options = {name: getattr(given, name) for name in ("rounds", "cohort", "lr", "seed")}
            line = {"experiment": given.experiment.stem, "asked": given.asked, **options}
            line |= outcome(prepared, given, users, epsilon)
            print(json.dumps(line), flush=True)
            if given.out is not None:
                with given.out.open("a") as file:
                    file.write(json.dumps(line | environment(torch.device("cpu"))) + "\n")


if __name__ == "__main__":
    main()
