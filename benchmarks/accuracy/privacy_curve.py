"""Utility against privacy: the flagship and DP popularity for budgets from .25 to 16.

    python benchmarks/accuracy/privacy_curve.py ml-100k
    python benchmarks/accuracy/privacy_curve.py ml-1m --data-dir FOLDER

Writes ``benchmarks/accuracy/curves/DATA.json`` (test metrics of each noise draw, last iterate, and
how far the flagship is above DP popularity at the same epsilon, paired over users and draws) and
``docs/curves/DATA.svg``. A run's noise comes from the operating system, so figures differ from time
to time by what the spread says.
"""

import argparse
import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ufgraphfr.algorithms import capabilities
from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.core.keys import Key
from ufgraphfr.evaluation.metric_sums import evaluate
from ufgraphfr.evaluation.metrics import per_user, values
from ufgraphfr.evaluation.significance import difference
from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.prepare import PreparedExperiment, prepare
from ufgraphfr.experiment.privacy_plan import calibrate, model_in_use
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.scoring import device_score
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.privacy.accounted.ledger import Ledger

Gains = NDArray[np.float64]
EPSILONS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
MODELS: dict[str, dict[str, Any]] = {
    "ufgraphformer": {},
    "DP popularity": {"head": False, "graph_items": 0},
}
ROOT = Path(__file__).parents[2]
CHUNK = 512


def experiment_of(data: str, epsilon: float, model: str, draw: int, count: int) -> Experiment:
    return build(
        {
            "seed": draw,
            "data": {"kind": data},
            "algorithm": {"kind": "ufgraphformer", "private": MODELS[model]},
            "federation": {"rounds": count},
            "privacy": {"kind": "central-jdp", "epsilon": epsilon},
        }
    )


def outcome(
    data: str, epsilon: float, model: str, draw: int, prepared: PreparedExperiment
) -> tuple[dict[str, Any], Gains]:
    """One run with fresh noise, its last iterate on test, and each user's full NDCG@10."""
    form = model_in_use(experiment_of(data, epsilon, model, draw, 1), prepared.setting)
    count = capabilities.releases(form, 1)[-1].last
    experiment = experiment_of(data, epsilon, model, draw, count)
    score = device_score(form, trained(experiment, form, prepared), PrivateState({}), count)
    found = evaluate(score, prepared.test, CHUNK)
    metrics = found.metrics
    row = {
        "model": model,
        "epsilon": epsilon,
        "draw": draw,
        "full ndcg@10": metrics["full"]["ndcg@10"],
        "full hr@10": metrics["full"]["hr@10"],
        "sampled99 hr@10": metrics["sampled99"]["hr@10"],
    }
    return row, per_user(values("ndcg@10", found.full), found.users)


def trained(
    experiment: Experiment, form: Algorithm, prepared: PreparedExperiment
) -> dict[str, torch.Tensor]:
    mechanism = calibrate(experiment, form, len(prepared.split.warm), Ledger(None))
    client = Client(form, mechanism)
    transport = Local().to(Simulation(client, prepared.batch, PrivateState({}), CHUNK))
    aggregator = Aggregator(form, prepared.setting)
    state = form.init_server(prepared.setting)
    clients = torch.from_numpy(prepared.split.warm)
    key = Key(experiment.seed)
    spec = experiment.federation
    for done in rounds(aggregator, mechanism, transport, spec, clients, state, key):
        state = done.state
    return state


def means(results: list[dict[str, Any]], model: str) -> Iterator[tuple[float, float, float]]:
    """Epsilon, mean and standard deviation of the full NDCG@10."""
    for epsilon in sorted({row["epsilon"] for row in results}):
        values = [
            row["full ndcg@10"]
            for row in results
            if row["model"] == model and row["epsilon"] == epsilon
        ]
        yield epsilon, statistics.mean(values), statistics.pstdev(values)


def drawing(data: str, results: list[dict[str, Any]]) -> str:
    """The curves as SVG, one unit of width for each doubling of epsilon."""
    curves = {model: list(means(results, model)) for model in MODELS}
    top = 1.15 * max(mean for curve in curves.values() for _, mean, _ in curve)
    across = {epsilon: 70 + 75 * place for place, epsilon in enumerate(EPSILONS)}

    def down(value: float) -> float:
        return 280 - 240 * value / top

    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 330" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="620" height="330" fill="white"/>',
        f'<text x="70" y="20" font-size="14">{data}: full NDCG@10 by epsilon (delta 1e-5)</text>',
    ]
    for number in range(5):
        y = down(top * number / 5)
        lines.append(f'<path d="M70 {y:.1f}H570" stroke="#ddd"/>')
        lines.append(
            f'<text x="62" y="{y + 4:.1f}" text-anchor="end">{top * number / 5:.3f}</text>'
        )
    for epsilon, x in across.items():
        lines.append(f'<text x="{x}" y="300" text-anchor="middle">{epsilon:g}</text>')
    for (model, curve), colour in zip(curves.items(), ("#1f5fbf", "#b3541e"), strict=True):
        points = " ".join(f"{across[e]},{down(mean):.1f}" for e, mean, _ in curve)
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        for epsilon, mean, spread in curve:
            bar = f"M{across[epsilon]} {down(mean - spread):.1f}V{down(mean + spread):.1f}"
            lines.append(f'<path d="{bar}" stroke="{colour}" stroke-width="4" opacity=".5"/>')
        x, y = across[EPSILONS[-1]], down(curve[-1][1]) - 8
        lines.append(f'<text x="{x}" y="{y:.1f}" fill="{colour}" text-anchor="end">{model}</text>')
    return "\n".join((*lines, "</svg>", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="ml-100k, ml-1m, ...")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set's files")
    parser.add_argument("--draws", type=int, default=3, help="of noise, for each budget")
    given = parser.parse_args()
    torch.set_num_threads(1)
    first = experiment_of(given.data, 1.0, "ufgraphformer", 0, 1)
    prepared = prepare(first, given.data_dir)
    results: list[dict[str, Any]] = []
    above: dict[str, dict[str, Any]] = {}
    for epsilon in EPSILONS:
        gains: dict[str, list[Gains]] = {model: [] for model in MODELS}
        for model in MODELS:
            for draw in range(given.draws):
                row, own = outcome(given.data, epsilon, model, draw, prepared)
                results.append(row)
                gains[model].append(own)
            _, mean, spread = list(means(results, model))[-1]
            print(
                f"epsilon {epsilon:<5g} {model:14} NDCG@10 {mean:.4f} +- {spread:.4f}", flush=True
            )
        ours, popularity = (np.stack(gains[model]) for model in MODELS)
        found = difference(ours, popularity)
        above[f"{epsilon:g}"] = asdict(found)
        print(f"above DP popularity {found.mean:+.4f}, p = {found.p_value:.4f}", flush=True)
    kept = ROOT / "benchmarks" / "accuracy" / "curves" / f"{given.data}.json"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps({"runs": results, "above": above}, indent=1) + "\n")
    picture = ROOT / "docs" / "curves" / f"{given.data}.svg"
    picture.parent.mkdir(exist_ok=True)
    picture.write_text(drawing(given.data, results))


if __name__ == "__main__":
    main()
