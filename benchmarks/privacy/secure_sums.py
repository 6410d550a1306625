"""What secure sums cost: accuracy against a trusted server, and a node's time for its masks.

The flagship at epsilon 8, MovieLens-100K, last iterate; noise comes from the operating system, so
each draw is a run of its own. A simulation has the noise that the total of a deployment has. The
masks' time is that of one node for sums of 2 million numbers, with keys that are made here.

python benchmarks/privacy/secure_sums.py accuracy --draws 5
python benchmarks/privacy/secure_sums.py masks --nodes 4
"""

import argparse
import json
import statistics
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from ufgraphfr.algorithms import capabilities
from ufgraphfr.deploy.wire import pads
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.experiment.privacy_plan import model_in_use

FILE = Path(__file__).parents[2] / "experiments" / "private" / "ml100k_shards.toml"
SETTINGS: dict[str, dict[str, Any]] = {
    "trusted server": {"trust": "server", "shards": 1},
    "4 nodes, all noise each": {"trust": "shard", "shards": 4},
    "4 nodes, secure sums": {"trust": "secure-sum", "shards": 4},
    "16 nodes, secure sums": {"trust": "secure-sum", "shards": 16},
}
NUMBERS = 2_000_000


def values_of(privacy: dict[str, Any], data_dir: Path | None) -> dict[str, Any]:
    """A setting's experiment, with as many rounds as its budget affords."""
    values = tomllib.loads(FILE.read_text())
    values["privacy"] |= privacy
    values["evaluation"]["baselines"] = []
    experiment = build(values)
    form = model_in_use(experiment, prepare(experiment, data_dir).setting)
    last = capabilities.releases(form, 1)[-1].last
    values["federation"]["rounds"] = values["evaluation"]["every"] = last
    return values


def one(values: dict[str, Any], seed: int, data_dir: Path | None) -> tuple[float, float]:
    """Full NDCG@10 and HR@10 among 1 of 100."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        for _ in execute(build(values | {"seed": seed}), out, device="cpu", data_dir=data_dir):
            pass
        # un-noised figures of a run under a budget are in its personal folder
        test = json.loads((out / "personal" / "result.json").read_text())["test"]
    return test["full"]["ndcg@10"], test["sampled99"]["hr@10"]


def accuracy(draws: int, data_dir: Path | None) -> None:
    trusted: list[float] = []
    for name, privacy in SETTINGS.items():
        values = values_of(privacy, data_dir)
        found = [one(values, draw, data_dir) for draw in range(draws)]
        means = [statistics.mean(each) for each in zip(*found, strict=True)]
        spread = [statistics.stdev(each) if draws > 1 else 0.0 for each in zip(*found, strict=True)]
        trusted = trusted or means
        shares = [mean / whole for mean, whole in zip(means, trusted, strict=True)]
        print(
            f"{name:24} {values['federation']['rounds']} rounds, "
            f"full NDCG@10 {means[0]:.4f} +- {spread[0]:.4f} ({shares[0]:.1%}), "
            f"HR@10 1 of 100 {means[1]:.4f} +- {spread[1]:.4f} ({shares[1]:.1%})",
            flush=True,
        )


def masks(nodes: int) -> None:
    keys = {f"node-{place}": pads.make_key() for place in range(nodes)}
    public = {name: pads.public_half(key) for name, key in keys.items()}
    use = pads.PadUse("agreement", "run", 1, "train", 1, dict.fromkeys(keys, "0" * 64))
    values = np.random.default_rng(0).integers(-(2**30), 2**30, (nodes, NUMBERS)).view(np.uint64)
    total, seconds = np.zeros(NUMBERS, np.uint64), []
    for own, (name, key) in zip(values, keys.items(), strict=True):
        start = time.process_time()
        sent = pads.to_bytes(pads.add_pads(own, use, name, key, public), 4)
        seconds.append(time.process_time() - start)
        total += pads.from_bytes(sent)
    exact = np.array_equal(pads.signed(total, 4), pads.signed(values.sum(0), 4))
    print(
        f"{nodes} nodes, {NUMBERS:,} numbers: {max(seconds):.3f} CPU s a node and round at most, "
        f"{sent.nbytes / NUMBERS:g} bytes a number (a float32 has 4), total exact: {exact}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["accuracy", "masks"])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    if given.what == "masks":
        masks(given.nodes)
    else:
        accuracy(given.draws, given.data_dir)


if __name__ == "__main__":
    main()
