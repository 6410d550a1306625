"""A checkpoint of a run, and its file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.schemas import CHECKPOINT
from ufgraphfr.federation.codec import pieces

Arrays = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to go on.

    Attributes:
        round: rounds that are done.
        best_round: the round with the best validation so far, at most ``round``.
        best_value: that round's validation metric `metrics.SELECTED_BY`, full ranking.
        server: the server's memory.
        private: the weights of all clients.
    """

    round: int
    best_round: int
    best_value: float
    server: Arrays
    private: Arrays


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"server/{name}": value for name, value in checkpoint.server.items()}
    arrays |= {f"private/{name}": value for name, value in checkpoint.private.items()}
    facts = {
        "round": checkpoint.round,
        "best_round": checkpoint.best_round,
        "best_value": checkpoint.best_value,
    }
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.writelines(pieces(arrays, {"checkpoint": json.dumps(CHECKPOINT.write(facts))}))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def load_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InputError: the file cannot be read as a checkpoint.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            facts = json.loads(file.metadata()["checkpoint"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable checkpoint ({error}): delete the run folder and start again"
        ) from None
    facts = CHECKPOINT.read(facts, path)
    parts: dict[str, Arrays] = {"server": {}, "private": {}}
    for name, value in arrays.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = value
    return Checkpoint(
        facts["round"], facts["best_round"], facts["best_value"], parts["server"], parts["private"]
    )
