"""Does anything public depend on a user beside the releases? Exact, and without any statistics.

A run is trained twice, on data that differ in one user. Whatever its mechanism releases is replaced
by the same numbers both times. Then every broadcast, the server's memory in every checkpoint and
every file outside ``personal/`` must be equal bit for bit: what differs did not go through the
noise. Lines of the log are compared too; they are for whoever runs it.
"""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm
from ufgraphfr.audit.one_user import with_one_user_changed
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report, Task, one_row
from ufgraphfr.data.dataset import Dataset
from ufgraphfr.experiment.checkpoint import Checkpoint
from ufgraphfr.experiment.config import Experiment
from ufgraphfr.experiment.derive import derive
from ufgraphfr.experiment.population import Simulated
from ufgraphfr.experiment.prepare import arranged
from ufgraphfr.experiment.runner import execute
from ufgraphfr.experiment.settings import flat
from ufgraphfr.federation.transport import Rejected, Response, Transport
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.base import Arrays, Mechanism

SECRET = {
    "environment.json": ("started", "data_keyed"),
    "result.json": ("data.digest", "ledger"),
    "ledger.jsonl": ("previous", "run", "spend.clip"),
}
"""What differs between any two runs: clocks, digests by a key of the run's own, and a clip that
adapts by a release."""

Facts = dict[str, Any]


@dataclass(frozen=True)
class Interference:
    """What differs between two runs whose data differ in one user.

    Attributes:
        public: by name what of it did not go through a release: a broadcast array, an array of
            the model, a key or line of a file.
        logged: lines of the log, as they are written in the code.
        personal: how many personal files differ; if none does, nothing was tried.
    """

    public: tuple[str, ...]
    logged: tuple[str, ...]
    personal: int


@dataclass(frozen=True)
class _Held(Mechanism):
    """A mechanism whose releases are held constant."""

    inner: Mechanism

    @property
    def is_private(self) -> bool:  # type: ignore[override]
        return self.inner.is_private

    @property
    def per_client(self) -> bool:  # type: ignore[override]
        return self.inner.per_client

    def privatize(self, arrays: Arrays, clients: Tensor, key: Key) -> Arrays:
        """See `Mechanism.privatize`."""
        return self.inner.privatize(arrays, clients, key)

    def finalize(self, report: Report, key: Key) -> Report:
        """See `Mechanism.finalize`: numbers that depend on round and place alone."""
        released = self.inner.finalize(report, key)
        held = {
            name: (key.round + 1e-3 * torch.arange(value.numel())).view(value.shape)
            for name, value in released.sums.items()
        }
        return replace(released, arrays=one_row(held))

    def upload_norm_bound(self, round_number: int) -> float | None:
        """See `Mechanism.upload_norm_bound`."""
        return self.inner.upload_norm_bound(round_number)


@dataclass(frozen=True)
class _Watched:
    """A transport that keeps what is broadcast."""

    inner: Transport
    seen: Facts

    def exchange(
        self, task_for: Callable[[Tensor], Task], cohort: Tensor, key: Key
    ) -> Iterator[Response | Rejected]:
        """See `Transport.exchange`."""
        task = task_for(cohort[:1])
        arrays = task.shared | {name: each.dense() for name, each in task.personal.items()}
        for name, value in arrays.items():
            self.seen[f"round {key.round} broadcasts {name}"] = _bits(value)
        yield from self.inner.exchange(task_for, cohort, key)


class _Population(Simulated):
    """Simulated clients, whose releases are held constant and whose broadcasts are kept."""

    seen: Facts

    def mechanism(self, algorithm: Algorithm, ledger: Ledger) -> Mechanism:
        """See `Population.mechanism`."""
        return _Held(super().mechanism(algorithm, ledger))

    def begin(
        self, algorithm: Algorithm, mechanism: Mechanism, last: Checkpoint | None
    ) -> Transport:
        """See `Population.begin`."""
        return _Watched(super().begin(algorithm, mechanism, last), self.seen)


class _Lines(logging.Handler):
    """Keeps lines of the log, and where in the code they are written."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        self.lines.append((f"{Path(record.pathname).name}:{record.lineno}", record.getMessage()))


def interference(experiment: Experiment, dataset: Dataset) -> Interference:
    """Train twice and compare.

    Args:
        experiment: with a guarantee, and nothing left open.
        dataset: that it was trained on.
    """
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        first = _trained(experiment, dataset, Path(one) / "run")
        second = _trained(experiment, with_one_user_changed(dataset), Path(other) / "run")
    parts = [
        tuple(
            sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
        )
        for here, there in zip(first, second, strict=True)
    ]
    public, logged, personal = parts
    return Interference(public, logged, len(personal))


def _trained(experiment: Experiment, dataset: Dataset, folder: Path) -> tuple[Facts, Facts, Facts]:
    """What is public of a run, what it logged, and its personal files."""
    seen, log, lines = dict[str, Any](), logging.getLogger("ufgraphfr"), _Lines()
    level, through = log.level, log.propagate
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        # baselines see everybody's rows, and are personal; settings are derived from these data
        keys = experiment.auto | {each.key for each in experiment.derived}
        alone = replace(experiment, baselines=(), auto=keys, derived=())
        prepared = arranged(alone, dataset)
        alone = derive(alone, prepared.public_facts, prepared.setting)
        population = _Population(alone, prepared, torch.device("cpu"))
        # nothing is released to anybody, so nothing is spent
        population.registry, population.seen = None, seen
        for _ in execute(alone, folder, device="cpu", population=population):
            pass
    finally:
        log.removeHandler(lines)
        log.setLevel(level)
        log.propagate = through
    logged = {}
    for number, (place, message) in enumerate(lines.lines):
        logged[f"{place} ({number})"] = message.replace(str(folder), "RUN")
    return (
        seen | _public(folder),
        logged,
        {
            path.name: path.read_bytes()
            for path in (folder / "personal").iterdir()
            if path.is_file()
        },
    )


def _public(folder: Path) -> Facts:
    """Every key of every file outside ``personal/``, and the server's arrays in all of them."""
    found = dict[str, Any]()
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118
                    if key.startswith("server/") or not name.startswith("personal/"):
                        found[f"{name}: {key}"] = _bits(file.get_tensor(key))
        elif path.is_file() and not name.startswith("personal/"):
            found |= _leaves(name, path.read_text(encoding="utf-8"))
    return found


def _leaves(name: str, text: str) -> Facts:
    """The values of a JSON file, of each of its lines, or the lines of another file, by place."""
    if name.endswith(".json"):
        return _values(name, json.loads(text), SECRET.get(name, ()))
    found = dict[str, Any]()
    for number, line in enumerate(text.splitlines(), start=1):
        value = json.loads(line) if name.endswith(".jsonl") else line
        found |= _values(f"{name} line {number}", value, SECRET.get(name, ()))
    return found


def _values(name: str, value: Any, secret: tuple[str, ...]) -> Facts:
    if not isinstance(value, dict):
        return {name: value}
    return {
        f"{name}: {path}": own
        for path, own in flat(value).items()
        if not any(f"{path}.".startswith(f"{each}.") for each in secret)
    }


def _bits(value: Tensor) -> tuple[Any, ...]:
    """An array, to be compared to the last bit."""
    return value.dtype, value.shape, value.contiguous().numpy().tobytes()
