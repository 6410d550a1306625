"""What a run folder looked like before its files said their schema, made from one of today."""

import json
from pathlib import Path
from typing import Any

import tomli_w
from safetensors import safe_open
from safetensors.torch import save_file

from ufgraphfr.data.columns import read_parquet, write_parquet
from ufgraphfr.experiment.config import Experiment

LATER = {"protocol": ("cold_items", "train_until", "validate_until"), "federation": ("dropouts",)}
"""Keys that were left out where they said nothing."""


def as_version_1(folder: Path, experiment: Experiment) -> None:
    """Rewrite a run folder, finished or not, as the first version wrote it."""
    settings = experiment.resolved()
    for table, keys in LATER.items():
        settings[table] = {k: v for k, v in settings[table].items() if k not in keys}
    settings["evaluation"]["yardsticks"] = settings["evaluation"].pop("baselines")
    settings["data"] |= {
        key: str((experiment.folder / settings["data"][key]).resolve())
        for key in experiment.source.files
        if experiment.folder and settings["data"].get(key)
    }
    (folder / "config.toml").write_text(tomli_w.dumps(settings))
    (folder / "resolved.toml").unlink()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    text = "".join(json.dumps(_without(line, "schema")) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    for path in (*folder.glob("checkpoint/*.safetensors"), *folder.glob("model.safetensors")):
        _rewrite_checkpoint(path)
    _rewrite_json(folder / "environment.json", _without, "experiment_folder")
    if (folder / "result.json").exists():
        _rewrite_json(folder / "result.json", _result)
        ranks = read_parquet(folder / "ranks.parquet")
        write_parquet(folder / "ranks.parquet", _without(ranks, "schema"))


def _result(values: dict[str, Any]) -> dict[str, Any]:
    rest = _without(values, "baselines", "new_items", "bytes_down_once_per_client")
    return rest | {"schema": "ufgraphfr-result-1", "yardsticks": values["baselines"]}


def _without(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def _rewrite_json(path: Path, change: Any, *arguments: str) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()), *arguments)))


def _rewrite_checkpoint(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["checkpoint"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(arrays, path, {"checkpoint": json.dumps(_without(facts, "schema"))})
